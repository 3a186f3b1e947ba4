// A real database that is restarted, loses its connections and stands still, under load. `DATABASES=postgres` for one of them;
// `FREEZE_S=60` for the long form. And the contract, on each database.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startDatabase } from './databases.mjs'
import { SERVERS, startShop, until } from './shop.mjs'

const DATABASES = (process.env.DATABASES ?? 'postgres,mariadb').split(',')
const FREEZE_MS = 1_000 * Number(process.env.FREEZE_S ?? 8)
/** What the gateway allows; and how much later an answer may be, beside what the machine is late by itself. */
const DEADLINE_MS = 2_500
const LATE_MS = 500
const TICK_MS = 20
/** Both back ends at once: they mostly wait. */
const CONCURRENCY = 2
const TIMEOUT_MS = 120_000 + 2 * FREEZE_MS
const RECOVERED_MS = 3_000
const MEMBERS = 4
const WAIT_MS = 50

/** Members who bind one card after the other: each again, under its key, until there is an answer. */
function startLoad(shop, lateness) {
  const load = { bound: [], failures: 0, slowestMs: 0, tooSlow: [], began: Array(MEMBERS).fill(0), isOver: false }
  const member = async (name) => {
    for (let index = 0; !load.isOver; index++) {
      const number = String(10_000_000 + name * 100_000 + index)
      for (;;) {
        const began = Date.now()
        const answer = await shop.call(`wx-${name}`, 'card.bind', { key: `k${index}`, number }, { deadlineMs: DEADLINE_MS, once: true })
        const tookMs = Date.now() - began
        load.slowestMs = Math.max(load.slowestMs, tookMs)
        if (tookMs > DEADLINE_MS + LATE_MS + 2 * lateness.sinceMs(began)) load.tooSlow.push(tookMs)
        if (answer.result) {
          load.began[name] = began
          break
        }
        assert.ok(answer.status === 503, JSON.stringify(answer))
        load.failures++
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
      }
      load.bound.push(`wx-${name} ${number}`)
    }
  }
  load.ended = Promise.all(Array.from({ length: MEMBERS }, (_, name) => member(name)))
  return load
}

/** How late a timer of this process was at most since a time: a machine that is busy is late with everything. */
function watchLateness(t) {
  const ticks = []
  let due = Date.now() + TICK_MS
  const timer = setInterval(() => {
    const now = Date.now()
    ticks.push([now, now - due])
    due = now + TICK_MS
  }, TICK_MS)
  t.after(() => clearInterval(timer))
  const sinceMs = (from) => {
    let maxMs = Math.max(0, Date.now() - due)
    for (let index = ticks.length - 1; index >= 0 && ticks[index][0] >= from; index--) maxMs = Math.max(maxMs, ticks[index][1])
    return maxMs
  }
  return { sinceMs }
}

/** How long it takes from now on until every member has had a request done that was begun from now on. */
async function recovery(load, lateness) {
  const from = Date.now()
  await until(() => load.began.every((began) => began >= from), 'requests of every member are done again', 30_000)
  const tookMs = Date.now() - from
  assert.ok(tookMs <= RECOVERED_MS + lateness.sinceMs(from), `${tookMs} ms until it was well again`)
  return tookMs
}

async function survivesFaults(t, name, server, command) {
  const database = await startDatabase(t, name)
  const shop = await startShop(t, { DATABASE_URL: database.url }, command)
  const lateness = watchLateness(t)
  const began = Date.now()
  const load = startLoad(shop, lateness)
  t.after(() => (load.isOver = true))
  await until(() => load.bound.length > 50, 'load')

  const killed = await database.killConnections()
  assert.ok(killed > 0)
  const afterKillMs = await recovery(load, lateness)

  const failuresRunning = load.failures
  await database.stop()
  await until(() => load.failures > failuresRunning, 'requests fail while it is stopped')
  await database.start()
  const afterStartMs = await recovery(load, lateness)

  database.freeze()
  const [thawAt, failuresBefore] = [Date.now() + FREEZE_MS, load.failures]
  await until(() => Date.now() >= thawAt, 'standstill', 2 * FREEZE_MS)
  assert.ok(load.failures > failuresBefore, 'requests fail while it stands still')
  database.thaw()
  const afterThawMs = await recovery(load, lateness)
  load.isOver = true
  await load.ended

  console.log(
    `${name}, ${server}: ${load.bound.length} cards, ${load.failures} requests answered 503; done again after ${afterKillMs} ms, ` +
      `${afterStartMs} ms, ${afterThawMs} ms; slowest request ${load.slowestMs} ms of ${DEADLINE_MS}, machine late by ${lateness.sinceMs(began)} ms`,
  )
  assert.deepEqual(load.tooSlow, [], 'requests that took longer than their deadline')

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
  t.after(() => child.kill())
  const code = await new Promise((resolve, reject) => child.on('exit', resolve).on('error', reject))
  assert.equal(code, 0, said)
  assert.match(said, /pass 20/)
}

describe('real databases', { concurrency: CONCURRENCY }, () => {
  const options = { timeout: TIMEOUT_MS }
  for (const name of DATABASES) {
    const servers = Object.entries(SERVERS)
    for (const [server, command] of servers)
      test(`${name}, ${server}: faults bind nothing twice`, options, (t) => survivesFaults(t, name, server, command))
    for (const [server, command] of servers) test(`${name}, ${server}: contract is kept`, options, (t) => keepsContract(t, name, command))
  }
})
