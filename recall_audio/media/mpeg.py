"""How many frames an MP3 lost where its bytes are damaged: its timestamps do not say.

An MP3 has no clock of its own; the demuxer counts the packets it finds, and takes everything between two
frame headers for one packet::

    bytes     |frame|frame|##########damage##########|frame|frame|
    packets   |  1  |  2  |             3            |  4  |  5  |
    true      |  1  |  2  |  3  |  4  |  5  |  6  |  7  |  8  |  9  |

So the damaged bytes are counted, and the mean frame says how many frames they were: exactly so where the
bit rate is constant, nearly so where it is not.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet


class LostFrames:
    """Counts bytes, and knows by how many frames the demuxer's count is behind.

    Attributes:
        shift: frames to add to the timestamps of what is decoded from here on.
    """

    def __init__(self) -> None:
        self.shift = 0
        self._usual = 0
        self._good_bytes = self._n_good = 0
        self._damaged_bytes = self._counted = 0

    def failed(self, packet: "Packet[AudioStream]") -> None:
        """A packet that the decoder refused: the demuxer counted one frame for it."""
        self._damaged_bytes += packet.size
        self._counted += 1

    def decoded(self, packet: "Packet[AudioStream]") -> None:
        """A packet that gave a frame; the decoder says nothing of zeros before it: |0000 damage|frame|."""
        size = packet.size
        if abs(size - self._usual) > 1:  # padding makes a byte of difference; no need to look closer
            self._usual = len(bytes(memoryview(packet)).lstrip(b"\0"))
            self._damaged_bytes += size - self._usual
            size = self._usual
        if self._damaged_bytes:
            self._settle()
        self._good_bytes += size
        self._n_good += 1

    def _settle(self) -> None:
        """Damage has ended: turn its bytes into frames."""
        if self._n_good:
            self.shift += round(self._damaged_bytes * self._n_good / self._good_bytes) - self._counted
        self._damaged_bytes = self._counted = 0
