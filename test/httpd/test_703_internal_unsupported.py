# SPDX-License-Identifier: Apache-2.0
"""Where there are no threads, threads of ours ask for nothing, and it says
so."""
from harness.internal import LOCATIONS, is_supported, order

MODULES = ["internal"]
CONFIG = "ETagCache Off" + LOCATIONS


def test_it_is_unsupported_just_where_there_are_no_threads(httpd):
    httpd.file("file", "x")
    body = httpd.get(order("/file")).body
    assert (body == b"unsupported 1\n") == (not is_supported())
    assert is_supported() == body.startswith(b"ok 200 ")
