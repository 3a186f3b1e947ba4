// The pool, with connections that are played by the test.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pool } from '../pool.mjs'

const DEADLINE_MS = 10_000

test('connection given back after close is destroyed', async () => {
  const destroyed = []
  const open = async () => ({ query: async () => undefined, destroy: () => destroyed.push('one') })
  const pool = new Pool(open)
  await pool.use(Date.now() + DEADLINE_MS, async () => {
    pool.close()
    assert.deepEqual(destroyed, [])
  })
  assert.deepEqual(destroyed, ['one'])
})

test('idle connection is used again until close', async () => {
  const destroyed = []
  let opened = 0
  const open = async () => ({ query: async () => undefined, destroy: () => destroyed.push('one'), number: ++opened })
  const pool = new Pool(open)
  for (let turn = 0; turn < 3; turn++) await pool.use(Date.now() + DEADLINE_MS, async ({ number }) => assert.equal(number, 1))
  pool.close()
  assert.deepEqual(destroyed, ['one'])
})
