"""The clients of a load: the pages and the live sockets of a browser, on gevent."""
