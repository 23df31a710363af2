"""Tasks of worker processes, where these can import them."""

import os
import time

from skmol3d.trainer.data.workers import check


def threads(ticket):
    return os.environ["OMP_NUM_THREADS"], os.getpid()


def endless(ticket):
    while True:
        check(ticket)
        time.sleep(0.01)
