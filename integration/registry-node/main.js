// The registry's Node clients: `main.js CLIENT SCENARIO` prints what it saw.
'use strict'

const [client, scenario] = process.argv.slice(2)
const scenarios = require(`./${client}.js`)
scenarios[scenario]().catch(error => {
  console.error(error)
  process.exit(1)
})
