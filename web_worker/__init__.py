"""One process of the web server: gunicorn's, whose parts that each request passes are shorter here.

gunicorn reads and checks requests. How connections come to threads is in ``epoll.py``, what is done with one in
``worker.py``, how answers leave in ``wire.py``, and how memory is laid out in ``memory.py``.
"""
