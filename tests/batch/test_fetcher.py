"""Several bots fetched at once: each once, errors heard, and nobody waits for who is slow."""

import threading
from collections.abc import Iterator

import pytest

from recall_audio.batch import fetcher
from recall_audio.batch.fetcher import thread_map

LONGEST_S = 30.0


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 2, 40])
def test_every_item_is_done_once(n: int, items: int) -> None:
    assert sorted(thread_map(n, iter(range(items)), lambda i: i * i)) == [i * i for i in range(items)]


def test_so_many_are_under_way_at_once_and_the_first_alone() -> None:
    together, seen = threading.Barrier(3, timeout=LONGEST_S), []

    def one(item: int) -> int:
        if item:
            together.wait()  # breaks unless three have come
        seen.append(item)
        return item

    assert sorted(thread_map(3, iter(range(7)), one)) == list(range(7))
    assert seen[0] == 0


def test_who_is_slow_holds_up_nobody_else() -> None:
    is_free = threading.Event()

    def one(item: int) -> int:
        if item == 1:
            assert is_free.wait(LONGEST_S)
        return item

    results = thread_map(2, iter(range(6)), one)
    assert [next(results) for _ in range(5)] == [0, 2, 3, 4, 5]
    is_free.set()
    assert list(results) == [1]


@pytest.mark.parametrize("at", [0, 1, 7])
@pytest.mark.parametrize("n", [1, 4])
def test_an_error_ends_it_and_nothing_more_is_begun(n: int, at: int) -> None:
    begun = []

    def one(item: int) -> int:
        begun.append(item)
        if item == at:
            raise ValueError(item)
        return item

    with pytest.raises(ValueError, match=str(at)):
        list(thread_map(n, iter(range(10_000)), one))
    assert max(begun) < at + 100


def test_an_error_of_the_items_is_heard_too() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(thread_map(2, items(), lambda i: i))


def test_who_stops_drawing_stops_it_all() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for i in range(1_000_000):
            drawn.append(i)
            yield i

    results = thread_map(3, items(), lambda i: i)
    for _ in range(5):
        next(results)
    results.close()  # type: ignore[attr-defined]
    at_work = [t for t in threading.enumerate() if t.name == "fetching"]
    for thread in at_work:
        thread.join(LONGEST_S)
    assert not any(t.is_alive() for t in at_work)
    assert len(drawn) < 20


def test_a_slow_first_item_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "ALONE_S", 0.05)
    others = threading.Barrier(4, timeout=60.0)  # three others, and the first that waits for them

    def one(i: int) -> int:
        if i <= 3:
            others.wait()
        return i

    assert sorted(thread_map(4, iter(range(7)), one)) == list(range(7))
