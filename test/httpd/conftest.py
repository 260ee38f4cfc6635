# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests.

A test file says what its httpd is with module-level names and shares one
httpd and one backend among its tests:

    CONFIG    directives; @BACKEND@ is the backend's host:port
    MODULES   further modules of httpd to load
    TLS       directives for a host on the TLS port, if wanted
    PRODUCTS  how many products there are in a database that CONFIG is to
              have: `shop`, made anew for each test

Each test takes its own `path`, so that tests do not see each other's entries.
A test that needs an httpd of its own calls `make_httpd(config)`, and one that
needs a database takes `database` and puts database.conf into that config.
mod_etag_freshness and mod_etag_composite are loaded where a config has
directives of theirs."""
import hashlib
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import httpd as httpd_module  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.database import open_database  # noqa: E402
from harness.httpd import Httpd  # noqa: E402
from harness.machines import STORES, Machines  # noqa: E402
from harness.memcached import Cluster  # noqa: E402
from harness.php import Php  # noqa: E402
from harness.postgres import PostgresServer  # noqa: E402

CACHE = """
ETagCacheMetaStore "local:@STORE@?size=64M"
"""

PROXY = """
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=30 retry=0
"""


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true",
                     help="also run the tests marked slow")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: only with --all")
    config.addinivalue_line("markers", "http2: not under prefork, where "
                            "mod_http2 does not work")


def pytest_collection_modifyitems(config, items):
    slow = pytest.mark.skip(reason="only with --all")
    http2 = pytest.mark.skip(reason="HTTP/2 needs threads")
    for item in items:
        if "slow" in item.keywords and not config.getoption("--all"):
            item.add_marker(slow)
        if "http2" in item.keywords and httpd_module.mpm() == "prefork":
            item.add_marker(http2)


def build(name, backend, config, modules=(), tls=None, cache=True,
          **options):
    httpd = Httpd(name=name, modules=modules, etagere=cache, **options)
    where = "127.0.0.1:%d" % backend.port
    if cache and "ETagCacheMetaStore" not in config:
        httpd.config(CACHE)
    httpd.config(config.replace("@BACKEND@", where))
    if tls is not None:
        httpd.tls(tls.replace("@BACKEND@", where))
    return httpd


@pytest.fixture(scope="module")
def backend():
    origin = Backend()
    yield origin
    origin.close()


@pytest.fixture(scope="module")
def httpd(request, backend):
    module = request.module
    config = module.CONFIG
    if hasattr(module, "PRODUCTS"):
        shop = request.getfixturevalue("shop")
        shop.products(module.PRODUCTS)
        config = shop.conf + config
    server = build(module.__name__, backend, config,
                   getattr(module, "MODULES", ()),
                   getattr(module, "TLS", None))
    if hasattr(module, "prepare"):
        module.prepare(server)
    server.start()
    yield server
    finish(server)


@pytest.fixture(scope="module")
def shop():
    database = open_database("sqlite3-wal")
    yield database
    database.close()


@pytest.fixture(autouse=True)
def restock(request):
    if hasattr(request.module, "PRODUCTS"):
        request.getfixturevalue("shop").products(request.module.PRODUCTS)


@pytest.fixture
def make_httpd(request, backend, make_database):
    """make_httpd(config, start=True, ...): an httpd for one test. It ends
    before its databases do."""
    made = []

    def make(config, start=True, prepare=None, **options):
        server = build(request.node.name, backend, config, **options)
        made.append(server)
        if prepare is not None:
            prepare(server)
        if start:
            server.start()
        return server
    yield make
    for server in made:
        finish(server)


def finish(server):
    """Stops it and looks at its last words."""
    server.stop()
    complaints = server.log.unclaimed()
    server.remove()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(autouse=True)
def judge_logs(request):
    """Nothing of level warn or worse may stand in an error log unclaimed."""
    for server in httpd_module.alive:
        server.log.next_test(request.node.name)
    yield
    complaints = []
    for server in httpd_module.alive:
        complaints += server.log.unclaimed()
        server.log.next_test("after " + request.node.name)
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def path(request):
    """A path no other test uses."""
    name = re.sub(r"[^\w-]", "-", request.node.name)
    if len(name) > 100:
        name = name[:80] + hashlib.sha1(name.encode()).hexdigest()[:8]
    return "/" + name


@pytest.fixture(scope="module")
def php(httpd):
    server = Php(httpd.root).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres():
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def make_database(request):
    """make_database(kind), of one test: see harness.database."""
    made = []

    def make(kind):
        server = (request.getfixturevalue("postgres")
                  if kind.startswith("pgsql") else None)
        made.append(open_database(kind, server))
        return made[-1]
    yield make
    for database in made:
        database.close()


@pytest.fixture(params=["sqlite3", "sqlite3-wal", "pgsql"])
def database(request, make_database):
    """An empty database for one test, of each kind."""
    return make_database(request.param)


@pytest.fixture
def sqlite(make_database):
    return make_database("sqlite3")


@pytest.fixture
def pgsql(make_database):
    return make_database("pgsql")


@pytest.fixture(scope="module")
def servers():
    """Three memcached servers for a file's machines."""
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=sorted(STORES))
def machines(request, servers, backend):
    """Two httpds over them, with the file's CONFIG and each kind of store."""
    made = []

    def make(config):
        httpd = build("machine", backend, config)
        made.append(httpd)
        return httpd.start()
    yield Machines(make, request.module.CONFIG, servers, request.param)
    for httpd in made:
        finish(httpd)
