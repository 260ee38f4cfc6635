# SPDX-License-Identifier: Apache-2.0
"""The servers that `hit` and `refresh` compare: each writes its configuration into a folder
of its own, listens on two free ports of 127.0.0.1 (plain, TLS), runs on one
core, and is ended by pid. `processes()` is what its CPU time is summed over."""
import http.client
import importlib.machinery
import importlib.util
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

DEBIAN_MODULES = "/usr/lib/apache2/modules"
# (Debian's deflate.conf leaves JSON alone.)
DEFLATE_TYPES = "AddOutputFilterByType DEFLATE text/html application/json"
PATIENCE = 15


def program(name):
    """A program of this folder, as a module."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Unavailable(Exception):
    """This server cannot be compared here; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def needed(*names):
    for name in names:
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
        if path:
            return path
    raise Unavailable("no %s installed" % " or ".join(names))


def stat_fields(pid):
    """What follows the name in /proc/<pid>/stat, from the state on."""
    with open("/proc/%d/stat" % pid) as stat:
        return stat.read().rsplit(")", 1)[1].split()


def descendants(root):
    """root and every process below it, as pids."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(stat_fields(int(name))[1])
            except (OSError, IndexError):
                pass
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family}
        grown = not more <= family
        family |= more
    return family


class Server:
    name = None
    tls = True
    beside = None           # the name of the row that this one is meant to beat

    def __init__(self, world):
        self.world = world
        self.folder = os.path.join(world.folder, self.name.replace("+", "-"))
        os.mkdir(self.folder)
        self.port = free_port()
        self.tls_port = free_port() if self.tls else None
        self.process = None

    def command(self):
        raise NotImplementedError

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def start(self):
        command = self.command()
        core = self.world.server_core
        with open(os.path.join(self.folder, "output"), "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if (self.process.poll() is not None
                        or time.monotonic() > deadline):
                    raise Unavailable("did not start: " + self.complaint())
                time.sleep(0.05)

    def complaint(self):
        text = ""
        for name in ("output", "error.log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, errors="replace") as lines:
                    text += lines.read()
        return " / ".join(text.strip().splitlines()[-3:])

    def stop(self):
        if self.process is None:
            return
        family = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        for pid in family:
            try:
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait(PATIENCE)

    def processes(self):
        return descendants(self.process.pid)

    def cpu_seconds(self):
        """User and system time of all its processes so far."""
        return self.seconds_of(self.processes())

    def daemon_seconds(self):
        """What of that is a memcached's."""
        return 0

    @staticmethod
    def seconds_of(pids):
        ticks = 0
        for pid in pids:
            try:
                fields = stat_fields(pid)
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def get(self, target, fields=(), tls=False):
        """One request: status, fields, body."""
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.tls_port, timeout=PATIENCE, context=context)
        else:
            connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", target, headers=dict(fields))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


class Httpd(Server):
    """mpm_event: two children that never change, enough room for 1,000
    kept-alive connections; proxying and access control as a site has them."""
    modules = ()
    extra = ""
    threads = 64            # per child
    deflate = False

    def own_modules(self):
        return []

    def own_config(self):
        return self.extra

    def command(self):
        httpd = needed("apache2", "httpd")
        modules = ["mpm_event", "authz_core", "authz_host", "mime", "proxy",
                   "proxy_http", "socache_shmcb", "ssl"]
        if self.deflate:
            modules += ["filter", "deflate"]
        modules += self.modules
        loads = ["LoadModule %s_module %s/mod_%s.so"
                 % (name, DEBIAN_MODULES, name) for name in modules]
        loads += ["LoadModule %s_module %s" % pair
                  for pair in self.own_modules()]
        account = ("User www-data\nGroup www-data" if os.geteuid() == 0
                   else "")
        deflate = DEFLATE_TYPES if self.deflate else ""
        path = self.write("httpd.conf", CONFIG_HTTPD.format(
            loads="\n".join(loads), folder=self.folder, account=account,
            port=self.port, tls_port=self.tls_port, deflate=deflate,
            certificate=self.world.certificate, key=self.world.key,
            threads=self.threads, workers=2 * self.threads,
            backend=self.world.backend_port, own=self.own_config()))
        self.write("mime.types", "application/json json\n")
        return [httpd, "-f", path, "-DFOREGROUND"]


CONFIG_HTTPD = """
ServerRoot {folder}
{loads}
ServerName localhost
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
{account}
PidFile {folder}/httpd.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
LogLevel warn
TypesConfig {folder}/mime.types
StartServers 2
ServerLimit 2
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {workers}
MinSpareThreads 1
MaxSpareThreads {workers}
AsyncRequestWorkerFactor 16
MaxConnectionsPerChild 0
KeepAlive On
ListenBacklog 4096
MaxKeepAliveRequests 0
KeepAliveTimeout 60
SSLSessionCache none
<VirtualHost 127.0.0.1:{tls_port}>
    SSLEngine on
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
    ProxyPass / http://127.0.0.1:{backend}/
</VirtualHost>
<Location "/">
    Require all granted
</Location>
{deflate}
ProxyPass / http://127.0.0.1:{backend}/
{own}
"""


class Constant(Httpd):
    name = "constant"

    def own_modules(self):
        return [("constant", self.world.constant_module)]

    def own_config(self):
        rows = []
        for page in self.world.pages:
            path = self.write("body-" + page.name, page.body.decode())
            rows.append('<Location "%s">\n    ConstantBody %s "%s"\n'
                        "</Location>" % (page.target, path,
                                         page.etag.replace('"', '\\"')))
        return "\n".join(rows)


class ConstantDeflate(Constant):
    name = "constant+deflate"
    deflate = True


class Etagere(Httpd):
    name = "etagere"
    stores = ("etag_store_local",)
    compress = "Off"        # the clients of `hit` take identity

    def own_modules(self):
        found = []
        for name in ("etag_cache",) + self.stores:
            path = os.path.join(self.world.build, ".libs",
                                "mod_%s.so" % name)
            if not os.path.exists(path):
                raise Unavailable("%s is missing: say --build" % path)
            found.append((name, path))
        return found

    def store_uri(self):
        return "local:%s?size=256M" % os.path.join(self.folder, "store")

    def own_config(self):
        return ("ETagCache On\n"
                "ETagCacheMetaStore %s\n"
                "ETagCacheCompress %s\n"
                'ETagCacheOverride "public, max-age=86400"\n'
                % (self.store_uri(), self.compress))


class EtagereGzip(Etagere):
    """Stored gzip-coded: sent as it is, or inflated."""
    name = "etagere+gzip"
    compress = "gzip:6"


class EtagereDeflate(Etagere):
    name = "etagere+deflate"
    deflate = True


class CacheSocache(Httpd):
    name = "mod_cache_socache"
    modules = ("cache", "cache_socache")

    def own_config(self):
        return ("CacheEnable socache /\n"
                "CacheSocache shmcb:%s/socache(33554432)\n" % self.folder)


class CacheDisk(Httpd):
    name = "mod_cache_disk"
    modules = ("cache", "cache_disk")

    def own_config(self):
        root = os.path.join(self.folder, "cache")
        os.mkdir(root)
        if os.geteuid() == 0:
            shutil.chown(root, "www-data", "www-data")
        return "CacheEnable disk /\nCacheRoot %s\n" % root


class Memcached:
    """The stock daemon, on the servers' core, with a core's worth of memory
    of its own."""

    def __init__(self, world, socket_path=None):
        self.world, self.socket_path = world, socket_path
        self.port = None if socket_path else free_port()
        self.process = None

    def start(self):
        command = [needed("memcached"), "-m", "256"]
        if os.geteuid() == 0:
            command += ["-u", "www-data"]
        if self.socket_path:
            command += ["-s", self.socket_path, "-a", "700"]
        else:
            command += ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        core = self.world.server_core
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable("memcached did not start")
            time.sleep(0.05)

    def answers(self):
        family, address = ((socket.AF_UNIX, self.socket_path)
                           if self.socket_path
                           else (socket.AF_INET, ("127.0.0.1", self.port)))
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(address)
                return True
            except OSError:
                return False

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)


class OverMemcached(Httpd):
    """An httpd with a memcached of its own, whose CPU time counts as its."""
    over_socket = False

    def __init__(self, world):
        super().__init__(world)
        # A short path: a socket's may not be long.
        path = os.path.join(self.folder, "m") if self.over_socket else None
        if path and os.geteuid() == 0:
            shutil.chown(self.folder, "www-data", "www-data")
        self.memcached = Memcached(world, path)

    def start(self):
        self.memcached.start()
        super().start()

    def stop(self):
        super().stop()
        self.memcached.stop()

    def processes(self):
        return super().processes() | {self.memcached.process.pid}

    def daemon_seconds(self):
        return self.seconds_of({self.memcached.process.pid})


class CacheSocacheMemcache(OverMemcached):
    name = "mod_cache_socache+memcache"
    modules = ("cache", "cache_socache", "socache_memcache")

    def own_config(self):
        return ("CacheEnable socache /\n"
                "CacheSocache memcache:127.0.0.1:%d\n" % self.memcached.port)


class EtagereMemcached(Etagere, OverMemcached):
    name = "etagere+memcached"
    beside = CacheSocacheMemcache.name
    stores = Etagere.stores + ("etag_store_memcached",)

    def store_uri(self):
        return ("memcached://127.0.0.1:%d/hit?timeout=1s"
                % self.memcached.port)


class EtagereMemcachedSocket(EtagereMemcached):
    name = "etagere+memcached-socket"
    over_socket = True

    def store_uri(self):
        return ("memcached://%s/hit?timeout=1s"
                % self.memcached.socket_path)


class EtagereTiers(EtagereMemcached):
    name = "etagere+tiers"

    def store_uri(self):
        return "%s %s" % (Etagere.store_uri(self), super().store_uri())


class Nginx(Server):
    name = "nginx"
    own = ""                # more for the location

    def command(self):
        account = "user www-data;" if os.geteuid() == 0 else ""
        path = self.write("nginx.conf", CONFIG_NGINX.format(
            account=account, folder=self.folder, port=self.port,
            tls_port=self.tls_port, certificate=self.world.certificate,
            key=self.world.key, backend=self.world.backend_port,
            own=self.own))
        return [needed("nginx"), "-p", self.folder, "-c", path,
                "-e", os.path.join(self.folder, "error.log")]


CONFIG_NGINX = """
daemon off;
{account}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 60;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_temp_path {folder}/proxy;
    proxy_cache_path {folder}/cache keys_zone=hit:10m inactive=1d;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_cache hit;
            {own}
        }}
    }}
}}
"""


class Varnish(Server):
    name = "varnish"
    tls = False
    own = ""                # more VCL

    def command(self):
        path = self.write("hit.vcl", CONFIG_VARNISH.format(
            backend=self.world.backend_port, own=self.own))
        return [needed("varnishd"), "-F", "-j", "none", "-n", self.folder,
                "-a", "127.0.0.1:%d" % self.port, "-T", "none", "-f", path,
                "-s", "malloc,128m", "-p", "thread_pool_max=300",
                "-p", "listen_depth=4096"]


CONFIG_VARNISH = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{backend}"; }}
{own}
"""

ALL = (Constant, Etagere, ConstantDeflate, EtagereDeflate, CacheSocache,
       CacheDisk, Nginx, Varnish)
COMPRESSED = (Constant, ConstantDeflate, Etagere, EtagereDeflate, EtagereGzip)
OVER_MEMCACHED = (CacheSocacheMemcache, EtagereMemcached,
                  EtagereMemcachedSocket, EtagereTiers)
