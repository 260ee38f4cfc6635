# SPDX-License-Identifier: Apache-2.0
"""The local store in trouble: the site keeps answering, nothing foreign comes
out, and a clear line in the log says what happened."""
import os
import random
import shutil
import subprocess

import pytest

from conftest import PROXY
from harness.backend import answer, counting
from harness.net import poll
from harness.steps import FRESH, stored

CONFIG = PROXY + "ETagCache On\n"
STORE_LOG = "etag_store_local|etag_cache"


def works_uncached(httpd, backend, path):
    backend.on(path, counting(FRESH))
    for number in range(1, 5):
        response = httpd.get(path)
        assert response.status == 200
        assert response.body.startswith(b"answer")


def start_claiming(httpd):
    """Starts it; what it says about its store is what the test wants."""
    httpd.log.claim(STORE_LOG)
    httpd.start()
    httpd.log.claim(STORE_LOG)


def complaints(httpd):
    return [line for line in httpd.log.text(whole=True).splitlines()
            if "etag_" in line and (":error]" in line or ":warn]" in line)]


def test_store_100_directory_that_cannot_be_made(make_httpd, backend, path):
    httpd = make_httpd(CONFIG + 'ETagCacheMetaStore "local:@ROOT@/httpd.conf/'
                       'below-a-file"\n', start=False)
    start_claiming(httpd)
    works_uncached(httpd, backend, path)
    assert any("below-a-file" in line for line in complaints(httpd))


def test_store_101_directory_that_cannot_be_written(make_httpd, backend,
                                                    path):
    httpd = make_httpd(CONFIG + 'ETagCacheMetaStore "local:/proc/self"\n',
                       start=False)
    start_claiming(httpd)
    works_uncached(httpd, backend, path)
    assert complaints(httpd)


def damage_bits(path):
    data = bytearray(path.read_bytes())
    chance = random.Random(1)
    for _ in range(max(200, len(data) // 5000)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def damage_half(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def damage_zero(path):
    path.write_bytes(b"\0" * path.stat().st_size)


def damage_empty(path):
    path.write_bytes(b"")


def damage_text(path):
    path.write_bytes(b"this is somebody else's file\n" * 1000)


@pytest.mark.parametrize("damage", [damage_bits, damage_half, damage_zero,
                                    damage_empty, damage_text])
def test_store_110_damaged_data_at_start(make_httpd, backend, path, damage):
    httpd = make_httpd(CONFIG)
    targets = ["%s-%d" % (path, number) for number in range(30)]
    for number, target in enumerate(targets):
        backend.on(target, answer(200, FRESH, target * (1 + number * 200)))
    stored_all(httpd, backend, targets)
    httpd.stop()
    files = [file for file in (httpd.root / "store").rglob("*")
             if file.is_file() and file.stat().st_size > 0]
    assert files
    for file in files:
        damage(file)
    start_claiming(httpd)
    for _ in range(3):
        for number, target in enumerate(targets):
            response = httpd.get(target)
            assert response.status == 200
            assert response.text == target * (1 + number * 200)
    if "until the next start" in httpd.log.text(whole=True):
        # What the check at start cannot see, a write may come across.
        httpd.graceful()
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path).hit


def stored_all(httpd, backend, targets):
    with httpd.connect() as connection:
        for target in targets:
            connection.get(target)
    stored(httpd, backend, targets[0] + "?last")


def test_store_111_foreign_files_in_the_directory(make_httpd, backend, path):
    def prepare(httpd):
        folder = httpd.root / "store"
        for name in ("data.mdb", "lock.mdb", "readme.txt"):
            (folder / name).write_text("somebody else's\n")
            httpd.give(folder / name)
    httpd = make_httpd(CONFIG, prepare=prepare, start=False)
    start_claiming(httpd)
    works_uncached(httpd, backend, path)
    assert (httpd.root / "store" / "readme.txt").read_text() \
        == "somebody else's\n"


def test_store_112_bodies_damaged_while_running(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(STORE_LOG)
    targets = ["%s-%d" % (path, number) for number in range(20)]
    bodies = {target: ("%s;" % target) * 3000 for target in targets}
    for target in targets:
        backend.on(target, answer(200, FRESH, bodies[target]))
    stored_all(httpd, backend, targets)
    for file in (httpd.root / "store").rglob("*"):
        if file.is_file() and b"%s;" % targets[3].encode() \
                in file.read_bytes():
            with open(file, "r+b") as raw:
                data = raw.read().replace(b"%s;" % targets[3].encode(),
                                          b"#" * (len(targets[3]) + 1))
                raw.seek(0)
                raw.write(data)
    for target in targets:
        assert httpd.get(target).text == bodies[target], target


def test_store_113_the_directory_vanishes_while_running(make_httpd, backend,
                                                       path):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(STORE_LOG)
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    shutil.rmtree(httpd.root / "store")
    for number in range(20):
        target = "%s-%d" % (path, number)
        backend.on(target, answer(200, FRESH, target * 9000))
        assert httpd.get(target).text == target * 9000
        assert httpd.get(path).body.startswith(b"answer")
    httpd.graceful()
    assert httpd.get(path).status == 200


def folder_bytes(folder):
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def test_store_120_a_full_store_goes_on(make_httpd, backend, path):
    httpd = make_httpd(CONFIG + 'ETagCacheMetaStore '
                       '"local:@STORE@?size=16M"\n')
    httpd.log.claim(STORE_LOG)
    with httpd.connect() as connection:
        for number in range(1500):
            target = "%s-%d" % (path, number)
            body = ("%s|" % target) * (number % 7 * 500 + 10)
            backend.on(target, answer(200, FRESH, body))
            assert connection.get(target).text == body
    poll(lambda: folder_bytes(httpd.root / "store") <= 18 << 20,
         "the store is within its size: %d bytes"
         % folder_bytes(httpd.root / "store"))
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path).hit


def test_store_121_the_disk_is_full(make_httpd, backend, path):
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    httpd = make_httpd(CONFIG, start=False)
    folder = httpd.root / "store"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o",
                              "size=24m,mode=777", "tmpfs", str(folder)],
                             stderr=subprocess.DEVNULL)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        start_claiming(httpd)
        with open(folder / "ballast", "wb") as ballast:
            try:
                while True:
                    ballast.write(b"x" * 65536)
                    ballast.flush()
            except OSError:
                pass
        for number in range(200):
            target = "%s-%d" % (path, number)
            body = ("%s|" % target) * 3000
            backend.on(target, answer(200, FRESH, body))
            for _ in range(2):
                assert httpd.get(target).text == body
        (folder / "ballast").unlink()
        assert httpd.get(path + "-0").status == 200
    finally:
        httpd.stop()
        subprocess.run(["umount", "-l", str(folder)], check=True)
