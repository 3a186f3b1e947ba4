// The publisher, with a database of its own and a gateway that takes all.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Database } from '../database.mjs'
import { Outbox } from '../outbox.mjs'
import { until } from './shop.mjs'

/** More than a batch. */
const BACKLOG = 300
const DEADLINE_MS = 10_000

test('backlog of one member delays no other', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cards-outbox-'))
  const database = await Database.open(`sqlite:${join(folder, 'cards.db')}`)
  const changes = [...Array.from({ length: BACKLOG }, (_, index) => ['ann', index + 1]), ['bob', 1]]
  const rows = changes.flatMap(([member, number]) => [1, 0].map((part) => [member, number, part, `${member}.${number}.${part}`, '', '{}']))
  const sql = `INSERT INTO outbox (member, change_number, part, id, channel, body) VALUES ${rows.map(() => '(?, ?, ?, ?, ?, ?)').join()}`
  await database.transaction(Date.now() + DEADLINE_MS, (query) => query(sql, rows.flat()))
  const batches = []
  const batch = async (entries) => {
    batches.push(entries.map(({ push }) => push.idempotency_key).sort())
    // As a network does, it lets others run.
    await new Promise((resolve) => setImmediate(resolve))
    return entries.map(() => ({ ok: {} }))
  }
  const outbox = new Outbox(database, { batch })
  t.after(async () => {
    outbox.close()
    database.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  await until(() => batches.length >= 3, 'three batches')
  assert.deepEqual(batches.slice(0, 3), [['ann.1.0', 'bob.1.0'], ['ann.1.1', 'bob.1.1'], ['ann.2.0']])
})
