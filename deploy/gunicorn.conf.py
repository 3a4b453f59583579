"""How gunicorn serves the application; the address and the number of processes are given on its command line."""

import gc
import select

# Threads, so that a slow request does not hold a whole process; and none is held for ever, or by an idle connection.
worker_class = "web_worker.epoll.EpollWorker" if hasattr(select, "epoll") else "web_worker.worker.Worker"
threads = 8

# Loaded once, before the processes fork: a bad setting stops the start with its sentence, and all count limits as one.
# Nothing connects to the database or to Redis while the application is built.
preload_app = True

# A look-up may carry a filter of 4 KiB, percent-encoded.
limit_request_line = 8190

graceful_timeout = 10
loglevel = "warning"
accesslog = None
control_socket_disable = True


def when_ready(_server: object) -> None:
    """Leave what is loaded out of every collection, and look seldom: a request makes no cycles that grow.

    Before the processes fork, so that each of them begins with it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
