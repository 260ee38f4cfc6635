# SPDX-License-Identifier: Apache-2.0
"""A private php-fpm on a unix socket."""
import glob
import os
import shutil
import subprocess

from .net import poll

CONFIG = """
[global]
error_log = {root}/php-fpm.log
pid = {root}/php-fpm.pid
daemonize = no
[www]
{user}
listen = {root}/run/php.sock
{owner}
pm = static
pm.max_children = 4
catch_workers_output = yes
"""


def program():
    """Debian's php-fpm, whatever its version, or None."""
    names = sorted(glob.glob("/usr/sbin/php-fpm*"))
    return names[-1] if names else shutil.which("php-fpm")


class Php:
    def __init__(self, root):
        self.root = root
        self.socket = root / "run" / "php.sock"
        self.process = None

    def start(self):
        as_root = os.getuid() == 0
        config = self.root / "php-fpm.conf"
        config.write_text(CONFIG.format(
            root=self.root,
            user="user = www-data\ngroup = www-data" if as_root else "",
            owner="listen.owner = www-data" if as_root else ""))
        out = open(self.root / "php-output.log", "ab")
        self.process = subprocess.Popen([program(), "-n", "-y", str(config)],
                                        stdout=out, stderr=out)
        poll(self.socket.exists, "php-fpm's socket")
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
