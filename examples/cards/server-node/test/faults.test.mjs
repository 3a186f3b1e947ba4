// A real database that is restarted, loses its connections and stands still, under load. `DATABASES=postgres` for one of them;
// `FREEZE_S=60` for the long form. And the contract, on each database.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startDatabase } from './databases.mjs'
import { SERVERS, startShop, until } from './shop.mjs'

const DATABASES = (process.env.DATABASES ?? 'postgres,mariadb').split(',')
const FREEZE_MS = 1_000 * Number(process.env.FREEZE_S ?? 15)
/** What the gateway allows; and how much later an answer may be, beside what the machine is late by itself. */
const DEADLINE_MS = 2_500
const LATE_MS = 500
const TICK_MS = 20
/** Databases and back ends at once: they mostly wait. */
const CONCURRENCY = 3
const RECOVERED_MS = 3_000
const MEMBERS = 4
const WAIT_MS = 50

/** Members who bind one card after the other: each again, under its key, until there is an answer. */
function startLoad(shop) {
  const load = { bound: [], failures: 0, slowestMs: 0, lastDone: 0, isOver: false }
  const member = async (name) => {
    for (let index = 0; !load.isOver; index++) {
      const number = String(10_000_000 + name * 100_000 + index)
      for (;;) {
        const began = Date.now()
        const answer = await shop.call(`wx-${name}`, 'card.bind', { key: `k${index}`, number }, { deadlineMs: DEADLINE_MS, once: true })
        load.slowestMs = Math.max(load.slowestMs, Date.now() - began)
        if (answer.result) break
        assert.ok(answer.status === 503, JSON.stringify(answer))
        load.failures++
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
      }
      load.bound.push(`wx-${name} ${number}`)
      load.lastDone = Date.now()
    }
  }
  load.ended = Promise.all(Array.from({ length: MEMBERS }, (_, name) => member(name)))
  return load
}

/** How late a timer of this process was at most: a machine that is busy is late with everything. */
function watchLateness(t) {
  const lateness = { maxMs: 0 }
  let due = Date.now() + TICK_MS
  const timer = setInterval(() => {
    lateness.maxMs = Math.max(lateness.maxMs, Date.now() - due)
    due = Date.now() + TICK_MS
  }, TICK_MS)
  t.after(() => clearInterval(timer))
  return lateness
}

/** Resolves with how long it took until every member's requests were done again, from now. */
async function recovery(load) {
  const from = Date.now()
  await until(() => load.lastDone > from, 'a request is done again', 30_000)
  return Date.now() - from
}

async function survivesFaults(t, name, server, command) {
  const database = await startDatabase(t, name)
  const shop = await startShop(t, { DATABASE_URL: database.url }, command)
  const lateness = watchLateness(t)
  const load = startLoad(shop)
  await until(() => load.bound.length > 50, 'load')

  const killed = await database.killConnections()
  assert.ok(killed > 0)
  const afterKillMs = await recovery(load)

  await database.stop()
  await until(() => load.failures > 0, 'requests fail while it is stopped')
  await database.start()
  const afterStartMs = await recovery(load)

  load.slowestMs = 0
  database.freeze()
  const [thawAt, failuresBefore] = [Date.now() + FREEZE_MS, load.failures]
  await until(() => Date.now() >= thawAt, 'standstill', 2 * FREEZE_MS)
  assert.ok(load.failures > failuresBefore, 'requests fail while it stands still')
  database.thaw()
  const afterThawMs = await recovery(load)
  load.isOver = true
  await load.ended

  console.log(
    `${name}, ${server}: ${load.bound.length} cards, ${load.failures} requests answered 503; done again after ${afterKillMs} ms, ` +
      `${afterStartMs} ms, ${afterThawMs} ms; slowest request ${load.slowestMs} ms of ${DEADLINE_MS}, machine late by ${lateness.maxMs} ms`,
  )
  for (const ms of [afterKillMs, afterStartMs, afterThawMs]) assert.ok(ms <= RECOVERED_MS, `${ms} ms until it was well again`)
  assert.ok(load.slowestMs <= DEADLINE_MS + LATE_MS + 2 * lateness.maxMs, `a request took ${load.slowestMs} ms`)

  // Every card is told once, in its member's order.
  const told = () => Array.from({ length: MEMBERS }, (_, member) => shop.gateway.log(`user:wx-${member}`).map(({ card }) => `wx-${member} ${card.number}`)).flat()
  await until(() => told().length >= load.bound.length, 'all is published')
  assert.deepEqual(told(), [...load.bound].sort())
}

/** Runs the contract with this database and back end. */
async function keepsContract(t, name, command) {
  const database = await startDatabase(t, name)
  const env = { ...process.env, CARDS_DATABASE: database.url, ...(command.length === 1 ? { SERVER: command[0] } : {}) }
  // A run of its own, not a part of this one.
  delete env.NODE_TEST_CONTEXT
  const args = ['--test', '--test-reporter=spec', join(import.meta.dirname, 'contract.test.mjs')]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text))
  const code = await new Promise((resolve) => child.on('exit', resolve))
  assert.equal(code, 0, said)
  assert.match(said, /pass 16/)
}

describe('real databases', { concurrency: CONCURRENCY }, () => {
  for (const name of DATABASES) {
    for (const [server, command] of Object.entries(SERVERS)) {
      test(`${name}, ${server}: faults bind nothing twice`, (t) => survivesFaults(t, name, server, command))
      test(`${name}, ${server}: contract is kept`, (t) => keepsContract(t, name, command))
    }
  }
})
