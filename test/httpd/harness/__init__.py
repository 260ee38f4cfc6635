# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests stand on: a private httpd (httpd.py), a scripted
origin behind it (backend.py), a client that sees raw bytes (client.py), a
private php-fpm (php.py), and the error log as a judge (error_log.py).
Standard library only."""
