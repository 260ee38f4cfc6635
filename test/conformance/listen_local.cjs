// SPDX-License-Identifier: Apache-2.0
// Preloaded into the suite's origin server, which would listen on every
// address: a test server of ours listens on the loopback address only.
'use strict'
const net = require('net')
const listen = net.Server.prototype.listen

net.Server.prototype.listen = function (port, ...rest) {
  if (typeof port === 'string' || typeof port === 'number') {
    return listen.call(this, Number(port), '127.0.0.1',
      ...rest.filter(item => typeof item === 'function'))
  }
  return listen.call(this, port, ...rest)
}
