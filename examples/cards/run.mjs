// `node run.mjs <tautline> [<back end> …]` starts the shop in `cards-data/` and prints its address; `cargo xtask cards` runs it.

import { resolve } from 'node:path'
import { startShop } from './start.mjs'

const [tautline, ...server] = process.argv.slice(2)
const shop = await startShop({
  tautline: resolve(tautline),
  data: resolve('cards-data'),
  server: server.length ? server : undefined,
  database: process.env.DATABASE_URL,
})
console.log(`\nThe shop is at ${shop.url} (Ctrl-C ends it; cards and orders go on with the next start)`)
console.log(`Plain WebSocket code is at ${shop.url}/plain.html`)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void shop.stop().then(() => process.exit(0)))
