"""Serve a stand-in of the API and its media host on loopback, for the demo and the tests."""

from recall_audio.standin.meetings import ServedMeeting, State, meeting
from recall_audio.standin.routes import RIGHT, Fault, Reply, StandInOptions
from recall_audio.standin.server import Request, StandIn, serve_forever
from recall_audio.standin.webhooks import Sender

__all__ = [
    "RIGHT",
    "Fault",
    "Reply",
    "Request",
    "Sender",
    "ServedMeeting",
    "StandIn",
    "StandInOptions",
    "State",
    "meeting",
    "serve_forever",
]
