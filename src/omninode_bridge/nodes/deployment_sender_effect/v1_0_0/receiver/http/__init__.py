"""The receiver's HTTP side: from a connection to a stored package, or to a response.

A request passes through these modules, in this order:

1. `listener`: how many connections are open, and which one is closed for a newer one.
2. `connection`: the limits of a connection; heads that are too large or too slow.
3. `request_guard`: the protocol version, the Host, and requests of web pages.
4. `app`: the routes; `info` is one of them.
5. `auth`: the signature, with `host_names` (whom it was signed for) and `nonces` (whether it was seen before).
6. `upload`: the steps of an upload. `form` and `boundary` parse its body, `direct_read` reads a large one from the
   socket, `file_writer` hashes and writes the file.
7. `responses`: the response, also to an error (`errors`); the rest of the `request_body` is read and discarded.
"""
