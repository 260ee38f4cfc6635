# SPDX-License-Identifier: Apache-2.0
#
# For the tests beside it, which source it: the machine's own apache2, for the
# time of a test with one site on 127.0.0.1, and left as it was.
set -euo pipefail

port=${ETG_TEST_PORT:-8971}
site=/etc/apache2/sites-available/etagere-test.conf
page=/var/www/etagere-test/page.txt
modules=(etag_composite etag_freshness etag_store_memcached etag_cache etag_store_local)
saved=$(mktemp -d)

apache()
{
    # Without systemd, apache2ctl starts the server itself.
    APACHE_STARTED_BY_SYSTEMD=1 apache2ctl "$@"
}

is_running()
{
    [[ -s /run/apache2/apache2.pid ]] &&
        kill -0 "$(cat /run/apache2/apache2.pid)" 2>/dev/null
}

is_stopped()
{
    ! is_running
}

# Runs a command until it succeeds, for 20 seconds at most.
until_true()
{
    local end=$((SECONDS + 20))
    until "$@"; do
        if ((SECONDS >= end)); then
            echo "still not true after 20 s: $*"
            tail -n 20 /var/log/apache2/error.log || true
            exit 1
        fi
        sleep 0.1
    done
}

disable()
{
    local name
    for name in "${modules[@]}"; do
        [[ ! -e /etc/apache2/mods-available/$name.load ]] ||
            a2dismod -q -f "$name"
    done
}

# For the trap on EXIT.
restore_server()
{
    if is_running; then
        apache stop || true
    fi
    a2dissite -q etagere-test || true
    disable || true
    cp "$saved/ports.conf" /etc/apache2/ports.conf
    if [[ -e $saved/default ]]; then
        a2ensite -q 000-default || true
    fi
    rm -rf "$site" "${page%/*}" "$saved"
}

# Stops the server and gives it one site, with these lines for the cache, these
# for mod_etag_freshness and these for mod_etag_composite.
take_server()
{
    if is_running; then
        apache stop
        until_true is_stopped
    fi
    cp /etc/apache2/ports.conf "$saved/"
    [[ -e /etc/apache2/sites-enabled/000-default.conf ]] &&
        touch "$saved/default"
    echo "Listen 127.0.0.1:$port" >/etc/apache2/ports.conf
    mkdir -p "${page%/*}"
    echo "a page" >"$page"
    cat >"$site" <<END
<VirtualHost 127.0.0.1:$port>
    ServerName localhost
    DocumentRoot ${page%/*}
    Header set Cache-Control "max-age=60"
    <IfModule etag_cache_module>
$1
    </IfModule>
    <IfModule etag_freshness_module>
${2:-}
    </IfModule>
    <IfModule etag_composite_module>
${3:-}
    </IfModule>
</VirtualHost>
END
    a2dissite -q 000-default
    a2enmod -q headers
    a2ensite -q etagere-test
}

restart()
{
    apache stop
    until_true is_stopped
    apache start
    until_true is_served_by_cache
}

# Cache-Status of the page; empty if there is none or no answer.
ask()
{
    curl -sS -m 10 -D - -o /dev/null "http://127.0.0.1:$port/page.txt?$1" |
        tr -d '\r' | sed -n 's/^Cache-Status: //Ip'
}

is_served_by_cache()
{
    [[ -n $(ask warm 2>/dev/null) ]]
}

expect()
{
    echo "$1: ${2:-no Cache-Status}"
    # shellcheck disable=SC2053  # $3 is a pattern
    if [[ $2 != $3 ]]; then
        echo "expected: $3"
        tail -n 20 /var/log/apache2/error.log || true
        exit 1
    fi
}

check_hits()
{
    local first second
    first=$(ask "$1")
    second=$(ask "$1")
    expect "$1, first request" "$first" '*fwd=*stored*'
    expect "$1, second request" "$second" '*Etagere; hit*'
}
