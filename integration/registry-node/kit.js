// What both clients use.
'use strict'

const REGISTRY = process.env.REGISTRY
const named = word => `${process.env.RUN_ID}-${word}`

// Prints what a call gave, without what only a registry chooses; or the status and the code of its error.
async function tell(what, call) {
  try {
    const value = await call()
    console.log(`${what}: ${JSON.stringify(value, (key, inner) => (['guid', 'ts'].includes(key) ? undefined : inner))}`)
    return value
  } catch (error) {
    const status = error.status ?? error.response?.status
    const code = error.errorCode ?? error.code ?? error.response?.data?.error_code
    console.log(`${what}: ${status === undefined ? error.message : `${status} ${code}`}`)
  }
}

module.exports = { REGISTRY, named, tell }
