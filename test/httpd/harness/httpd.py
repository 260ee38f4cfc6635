# SPDX-License-Identifier: Apache-2.0
"""A private httpd: its own ServerRoot in a temporary folder, free ports on
127.0.0.1, Debian's modules and ours.

Environment:
  ETG_BUILD_DIR       where our modules were built (else the installed ones)
  MPM                 event (default), worker or prefork
  APXS                apxs2 by default
  ETG_HTTPD_PRELOAD   LD_PRELOAD for httpd (a sanitizer's library)
  ETG_HTTPD_WRAPPER   words put before httpd's command line (valgrind ...)
"""
import functools
import os
import pathlib
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile

from . import client
from .error_log import ErrorLog
from .net import (free_port, is_free, owners, poll, socket_inodes,
                  wait_for_port)

OURS = {"etag_cache": "cache", "etag_store_local": "store_local",
        "etag_store_memcached": "store_memcached",
        "etag_freshness": "freshness", "etag_composite": "composite"}
# Built only where its library is; tests that name it fail without.
OPTIONAL = {"etag_store_memcached"}
# Loaded where a configuration names its directives.
BY_NEED = {"etag_freshness": "ETagFreshness",
           "etag_composite": "ETagComposite"}

MODULES = """
    mpm_@MPM@ authn_core authn_file authz_core authz_host authz_user
    auth_basic access_compat env setenvif mime dir alias negotiation
    headers expires rewrite filter deflate include actions
    reqtimeout unique_id remoteip status socache_shmcb ssl http2
    proxy proxy_http proxy_fcgi allowmethods asis
""".split()

BASE = """
ServerRoot "@ROOT@"
DefaultRuntimeDir "@ROOT@/run"
PidFile "@ROOT@/run/httpd.pid"
Mutex file:@ROOT@/run default
ServerName localhost
AcceptFilter http none
AcceptFilter https none
Listen 127.0.0.1:@PORT@
Listen 127.0.0.1:@TLS_PORT@
UseCanonicalName Off
TypesConfig /etc/mime.types
Timeout 30
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 10
GracefulShutdownTimeout 5
ErrorLog "@ROOT@/error.log"
LogLevel info
LogFormat "%h %P %v \\"%r\\" %>s %O %D %{Cache-Status}o \\"%{etag-cache}n\\"" full
CustomLog "@ROOT@/access.log" full
RequestReadTimeout header=20-40,minrate=500 body=20,minrate=500
Protocols h2 h2c http/1.1
<IfModule http2_module>
    H2Direct on
</IfModule>
SSLSessionCache shmcb:@ROOT@/run/ssl
<Directory "@ROOT@">
    Require all granted
</Directory>
DocumentRoot "@ROOT@/htdocs"
"""

SIZES = {
    "event": """
StartServers 2
ServerLimit 4
ThreadsPerChild 64
ThreadLimit 64
MaxRequestWorkers 256
MinSpareThreads 32
MaxSpareThreads 256
""",
    "prefork": """
StartServers 8
ServerLimit 256
MaxRequestWorkers 256
MinSpareServers 4
MaxSpareServers 32
""",
}
SIZES["worker"] = SIZES["event"]

TLS_HOST = """
<VirtualHost 127.0.0.1:@TLS_PORT@>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile "@CERT@"
    SSLCertificateKeyFile "@KEY@"
    @INSIDE@
</VirtualHost>
"""

alive = []


def mpm():
    return os.environ.get("MPM", "event")


def without_by_mpm():
    """mod_http2 needs threads."""
    return ["http2"] if mpm() == "prefork" else []


@functools.lru_cache(maxsize=None)
def apxs(name):
    tool = os.environ.get("APXS", "apxs2")
    return subprocess.run([tool, "-q", name], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


@functools.lru_cache(maxsize=None)
def program():
    return os.path.join(apxs("sbindir"), apxs("progname"))


@functools.lru_cache(maxsize=None)
def compiled_in():
    out = subprocess.run([program(), "-l"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {line.strip()[:-2].replace("mod_", "", 1)
            for line in out.splitlines() if line.endswith(".c")}


@functools.lru_cache(maxsize=None)
def our_module(name):
    """The path of one of our modules, or None if it was not built."""
    file_name = "mod_%s.so" % name
    build = os.environ.get("ETG_BUILD_DIR")
    if build is None:
        folders = [apxs("libexecdir")]
    else:
        folders = [os.path.join(build, ".libs"),
                   os.path.join(build, "modules", OURS[name], ".libs")]
    for folder in folders:
        path = os.path.join(folder, file_name)
        if os.path.exists(path):
            return path
    return None


def test_module(name):
    """The path of a module that only tests load."""
    path = os.path.join(os.environ.get("ETG_BUILD_DIR", "."), "test", "httpd",
                        ".libs", "mod_%s.so" % name)
    if not os.path.exists(path):
        raise AssertionError("%s is not there: set ETG_BUILD_DIR to the "
                             "folder make ran in" % path)
    return path


def load_line(name):
    if name == "internal":
        path = test_module(name)
    elif name in OURS:
        path = our_module(name)
        if path is None:
            raise AssertionError("mod_%s.so is not there: set ETG_BUILD_DIR "
                                 "to the folder make ran in" % name)
    else:
        path = os.path.join(apxs("libexecdir"), "mod_%s.so" % name)
    return 'LoadModule %s_module "%s"' % (name, path)


@functools.lru_cache(maxsize=None)
def certificate():
    """A certificate for localhost, made once."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="etagere-tls-"))
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                    "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", str(key), "-out", str(cert)], check=True,
                   stderr=subprocess.DEVNULL)
    return cert, key


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Httpd:
    """One httpd. Fill it with config(), then start() it; it is a client of
    itself through get() and request()."""

    def __init__(self, name="httpd", etagere=True, modules=(),
                 without=()):
        self.name = name
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="etagere-test-"))
        self.root.chmod(0o755)
        for folder in ("run", "htdocs", "store"):
            (self.root / folder).mkdir()
        self.give(self.root / "store")
        self.give(self.root / "run")
        self.log = ErrorLog(self.root / "error.log")
        self.port = free_port()
        self.tls_port = free_port()
        self.etagere = etagere
        self.modules = [m.replace("@MPM@", mpm()) for m in MODULES
                        if m not in (*without, *without_by_mpm())]
        self.modules.append("cgi" if mpm() == "prefork" else "cgid")
        self.modules.extend(modules)
        if etagere:
            self.modules.extend(
                name for name in OURS if name not in BY_NEED
                and (name not in OPTIONAL or our_module(name)))
        self.parts = []
        self.process = None

    # configuration

    def give(self, path):
        """Lets httpd's children write there."""
        if os.getuid() == 0:
            shutil.chown(path, "www-data", "www-data")

    def fill(self, text):
        values = {"ROOT": self.root, "PORT": self.port,
                  "TLS_PORT": self.tls_port,
                  "DOCROOT": self.root / "htdocs",
                  "STORE": self.root / "store"}
        if "@CERT@" in text:
            values["CERT"], values["KEY"] = certificate()
        for key, value in values.items():
            text = text.replace("@%s@" % key, str(value))
        return text

    def config(self, text):
        self.parts.append(text)

    def tls(self, inside=""):
        """A TLS host on tls_port."""
        self.config(TLS_HOST.replace("@INSIDE@", inside))

    def load_by_need(self):
        """What nothing but its own directives asks for."""
        self.modules.extend(
            name for name, word in BY_NEED.items()
            if name not in self.modules
            and any(word in part for part in self.parts))

    def whole_config(self):
        self.load_by_need()
        lines = [load_line(name) for name in self.modules
                 if name not in compiled_in()]
        lines.append(self.fill(BASE))
        lines.append(SIZES[mpm()])
        lines.extend("LogLevel %s:debug" % name for name in OURS
                     if name in self.modules)
        if "cgid" in self.modules:
            lines.append(self.fill("ScriptSock @ROOT@/run/cgid"))
        if os.getuid() == 0:
            lines.append("User www-data\nGroup www-data")
        lines.extend(self.fill(part) for part in self.parts)
        return "\n".join(lines) + "\n"

    def write_config(self):
        path = self.root / "httpd.conf"
        path.write_text(self.whole_config())
        return path

    def command(self, *more):
        wrapper = shlex.split(os.environ.get("ETG_HTTPD_WRAPPER", ""))
        return [*wrapper, program(), "-f", str(self.root / "httpd.conf"),
                *more]

    def environment(self):
        env = dict(os.environ, LANG="C.UTF-8")
        if "ETG_HTTPD_PRELOAD" in os.environ:
            env["LD_PRELOAD"] = os.environ["ETG_HTTPD_PRELOAD"]
        return env

    def configtest(self, text=""):
        """httpd -t, with `text` behind all that is configured: its exit
        status and what it said."""
        kept = list(self.parts)
        self.config(text + "\n")
        try:
            self.write_config()
            done = subprocess.run(self.command("-t"), text=True,
                                  env=self.environment(),
                                  stderr=subprocess.STDOUT,
                                  stdout=subprocess.PIPE)
        finally:
            self.parts = kept
        return done.returncode, done.stdout

    # life

    def start(self):
        self.write_config()
        before = self.generations()
        out = open(self.root / "output.log", "ab")
        self.process = subprocess.Popen(
            self.command("-DFOREGROUND"), stdout=out, stderr=out,
            env=self.environment(), start_new_session=True)
        try:
            wait_for_port(self.port, process=self.process)
            poll(lambda: self.generations() > before, "httpd's start")
        except AssertionError:
            self.stop()
            raise AssertionError(
                "httpd did not start: %s%s" % (
                    (self.root / "output.log").read_text(),
                    self.log.text(whole=True)[-3000:]))
        alive.append(self)
        complaints = self.log.unclaimed()
        assert not complaints, "\n".join(complaints)
        return self

    def generations(self):
        """How many times it said that it is ready."""
        return self.log.text(whole=True).count("resuming normal operations")

    def stop(self):
        if self in alive:
            alive.remove(self)
        if self.process is None:
            return
        self.claim_end()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        self.sweep()
        self.process = None

    def claim_end(self):
        """What httpd may say while it stops."""
        # mpm_event, when a connection goes idle just as its child ends
        self.log.claim("AH0309[23]")
        # and the main thread of its children, which at the end closes the
        # sockets of workers that may be gone (apr_os_sock_get in a core)
        if os.environ.get("MPM", "event") == "event":
            self.log.claim_from_now(
                r"AH0005[12]: child pid \d+ exit signal Segmentation fault")
        self.claim_cut_requests()

    def claim_cut_requests(self):
        """Internal requests under way when a child ends are cut; mod_proxy
        minds."""
        self.log.claim_from_now(
            r"\[remote 192\.0\.2\.1:0\] (AH01102|AH00898|AH01110)")

    def sweep(self):
        """Ends what is left of it: itself first, so that it replaces nobody,
        then its group, and its children (mod_cgid's daemon leaves the group
        and would keep the listening sockets)."""
        left = self.children()
        for end, pid in [(os.kill, self.process.pid),
                         (os.killpg, self.process.pid)] \
                + [(os.kill, pid) for pid in left]:
            try:
                end(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self.process.wait()
        # The last of them closes the listening sockets.
        poll(lambda: not any(map(is_running, left)), "the end of children")

    def restart(self):
        """A full stop and start."""
        self.stop()
        return self.start()

    def kill(self):
        """Everything at once, as by a crash of the machine."""
        alive.remove(self)
        self.sweep()
        self.process = None
        # A child may have been forked when the others were counted.
        poll(lambda: is_free(self.port) and is_free(self.tls_port),
             "the end of the listening sockets")

    def graceful(self):
        """A graceful reload with the configuration as it is now; returns
        when the new generation answers."""
        self.write_config()
        self.claim_cut_requests()
        before = self.generations()
        self.process.send_signal(signal.SIGUSR1)
        poll(lambda: self.generations() > before, "the graceful reload")

    def remove(self):
        if os.environ.get("ETG_KEEP"):
            print("kept: %s" % self.root)
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    # processes

    def children(self):
        pid = self.process.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as listing:
                return [int(word) for word in listing.read().split()]
        except FileNotFoundError:
            return []

    def child_with_socket(self, local_port, peer_port=None):
        """The child that holds the connection with this local port."""
        def find():
            return owners(self.children(),
                          socket_inodes(local_port, peer_port))
        found = poll(find, "a child with local port %d" % local_port)
        assert len(found) == 1, found
        return found.pop()

    def child_serving(self, connection):
        """The child that serves this client connection."""
        return self.child_with_socket(self.port, connection.local_port)

    # requests

    def connect(self, tls=False, **options):
        port = self.tls_port if tls else self.port
        return client.Connection(port, tls=tls, **options)

    def request(self, method, target, headers=(), body=None, tls=False,
                **options):
        with self.connect(tls=tls) as connection:
            return connection.request(method, target, headers, body,
                                      **options)

    def get(self, target, headers=(), **options):
        return self.request("GET", target, headers, **options)

    def head(self, target, headers=(), **options):
        return self.request("HEAD", target, headers, **options)

    def curl(self, target, *words, tls=True):
        """An answer over HTTP/2 (TLS, or cleartext by prior knowledge)."""
        scheme, port = ("https", self.tls_port) if tls else ("http",
                                                             self.port)
        return client.curl("%s://127.0.0.1:%d%s" % (scheme, port, target),
                           "--http2" if tls else "--http2-prior-knowledge",
                           *words)

    # files

    def file(self, name, content, mode=0o644, mtime=None):
        path = self.root / "htdocs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data)
        path.chmod(mode)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def user_id(self):
        return (pwd.getpwnam("www-data").pw_uid if os.getuid() == 0
                else os.getuid())
