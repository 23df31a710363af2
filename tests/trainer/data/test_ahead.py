"""Batches drawn ahead."""

import threading
from itertools import count, islice

import pytest

from skmol3d.trainer.data.ahead import ahead


def test_items_come_in_their_order_and_end():
    assert list(ahead(iter(range(20)), str)) == [str(k) for k in range(20)]
    assert list(ahead(iter(()), str)) == []


def test_another_thread_makes_the_next_items_meanwhile():
    made, here = [], threading.get_ident()
    later = threading.Event()

    def make(item):
        made.append((item, threading.get_ident()))
        if item == 2:
            later.set()
        return item

    items = ahead(count(), make, 2)
    assert next(items) == 0
    assert later.wait(10)  # though nobody has asked for it
    assert [item for item, _ in made] == [0, 1, 2]
    assert here not in {thread for _, thread in made}
    items.close()


def test_an_error_comes_where_its_item_would_have():
    def make(item):
        return 1 // (3 - item)

    items = ahead(count(), make)
    assert list(islice(items, 3)) == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_closing_ends_the_thread_and_draws_no_more():
    drawn = []
    items = ahead(count(), drawn.append)
    next(items)
    items.close()
    last = len(drawn)
    assert last <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    assert list(items) == []
    assert len(drawn) == last
