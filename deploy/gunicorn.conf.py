"""How gunicorn serves the application; the address and the number of processes are given on its command line."""

# Threads, so that a slow or idle connection does not hold a whole process; and none is held for ever.
worker_class = "web_worker.Worker"
threads = 8

# Loaded once, before the processes fork: a bad setting stops the start with its sentence, and memory is shared.
# Nothing connects to the database or to Redis while the application is built.
preload_app = True

# A look-up may carry a filter of 4 KiB, percent-encoded.
limit_request_line = 8190

graceful_timeout = 10
loglevel = "warning"
accesslog = None
control_socket_disable = True
