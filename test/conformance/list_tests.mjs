// SPDX-License-Identifier: Apache-2.0
// Prints what the suite in the given folder consists of, as JSON: one row per
// test with what the runner needs to count it.
import path from 'path'
import { pathToFileURL } from 'url'

const index = path.resolve(process.argv[2], 'tests', 'index.mjs')
const suites = (await import(pathToFileURL(index).href)).default
const rows = suites.flatMap(suite => suite.tests.map(test => ({
  id: test.id,
  name: test.name,
  suite: suite.id,
  kind: test.kind || 'required',
  browser_only: test.browser_only === true,
  depends_on: test.depends_on || []
})))
process.stdout.write(JSON.stringify(rows))
