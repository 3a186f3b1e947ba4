/**
 * Apps of Taro and uni-app, built with their own tool chains, through a storm: nothing lost, nothing twice.
 *
 * Each storm has two phones in two browser contexts; the frameworks' storms are at the same time. `SEED=7` runs them again.
 */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { WORDS_EN } from '../../sdk/src/messages.ts';
import { startBrowser } from '../src/browser.ts';
import { TOP, drainGateway, startChaos, startDemo, type Chaos } from '../src/process.ts';
import { storm } from '../src/storm.ts';
import { summary } from '../src/summary.ts';
import { untilQuiet } from './books.ts';
import { freeze, look, openApp, untilBack, untilState } from './pages.ts';

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000));
const STORM_MS = Number(process.env['STORM_SECONDS'] ?? 45) * 1000;
/** Publications and calls a second, each phone. */
const RATES = [10, 2] as const;
const ROOM = 'frameworks';
/** Longer than the gateway waits for a sign of life, and than the line's own patience in the background. */
const FROZEN_MS = 8_000;

/** Which app each phone of a storm runs, and over which sockets: the browser's, or the framework's wrapper of them. */
const STORMS = {
  taro: { page: 'taro/dist', hosts: { a: 'framework', b: 'framework' } },
  uni: { page: 'uni/dist/build/h5', hosts: { a: 'framework', b: 'wrapper' } },
};

test(`apps of real frameworks go through a storm (SEED=${SEED})`, { concurrency: true }, async (t) => {
  console.log(`seed ${SEED}; run it again alone: SEED=${SEED} npm run test:frameworks`);
  const browser = await startBrowser(t);
  await Promise.all(
    Object.entries(STORMS).map(([framework, { page, hosts }]) =>
      t.test(`${framework}: lost 0, doubled 0, and why it dropped`, (t) => weather(t, browser, framework, page, hosts)),
    ),
  );
});

async function weather(t: TestContext, browser: Browser, framework: string, app: string, hosts: Record<string, string>) {
  const gateway = await startDemo(t, `${TOP}/e2e/${app}`);
  const chaos = await startChaos(t, gateway, SEED);
  const pages: Record<string, Page> = {};
  for (const [phone, host] of Object.entries(hosts)) pages[phone] = await openApp(browser, chaos.url, { phone, host, room: ROOM });
  const all = Object.entries(pages);
  await Promise.all(all.map(([, page]) => page.evaluate((rates) => window.phone.start(...rates), RATES)));

  await goThrough(pages, chaos, gateway);
  await chaos.control('/heal', {});
  await Promise.all(all.map(([, page]) => untilState(page, 'online')));
  await drain(all.map(([, page]) => page), gateway);
  await Promise.all(all.map(([phone, page]) => trips(page, phone, chaos)));

  const { ledger, journal, parts } = await untilQuiet(all.map(([, page]) => page));
  const figures = ledger.figures();
  const outages = parts.flatMap((part) => part.outages);
  console.log(`${framework}\n${summary(SEED, figures, journal, outages)}`);
  const { calls } = (await (await fetch(`${gateway}/demo/state`)).json()) as { calls: { executed_twice: number } };

  const { lost, doubled, reordered, publishedTwice, settledTwice, failed, gaps } = figures;
  assert.deepEqual(
    { lost, doubled, reordered, publishedTwice, settledTwice, failed, gaps, executedTwice: calls.executed_twice },
    { lost: 0, doubled: 0, reordered: 0, publishedTwice: 0, settledTwice: 0, failed: 0, gaps: 0, executedTwice: 0 },
  );
  assert.equal(figures.received, figures.sent, 'each phone got all of the other one');
  assert.ok(journal.every((entry) => entry.what !== 'settled' || entry.ok), 'every call is answered');
  for (const { errors, drops, state } of parts) {
    assert.deepEqual(errors, []);
    assert.deepEqual(drops.filter((cause) => !(cause in WORDS_EN)), [], 'every drop has a cause that can be told');
    assert.equal(state, 'online');
  }
  // Two phones, and the framework's timers skip a beat on a busy machine.
  assert.ok(figures.sent > (STORM_MS / 1000) * RATES[0], `only ${figures.sent} publications were sent`);
  assert.ok(outages.length > 2 * STORM_MS / 20_000, `only ${outages.length} drops: that was no storm`);
}

/** Everything that the seed brings. */
async function goThrough(pages: Record<string, Page>, chaos: Chaos, gateway: string): Promise<void> {
  const started = Date.now();
  for (const event of storm(SEED, STORM_MS, Object.keys(pages))) {
    await sleep(Math.max(0, started + event.at - Date.now()));
    if (event.what === 'drain') await drainGateway(gateway);
    else if (event.what === 'fault') await chaos.control('/faults', { ...event.fault, group: `phone-${event.phone}.${ROOM}` });
    else await look(pages[event.phone]!, event.what === 'hide');
  }
  await sleep(Math.max(0, started + STORM_MS - Date.now()));
}

async function drain(pages: Page[], gateway: string): Promise<void> {
  const before = await Promise.all(pages.map(dropsOf));
  await drainGateway(gateway);
  await Promise.all(pages.map((page, i) => untilBack(page, 'server_restart', before[i]!)));
}

/** What no storm may leave out, each with the cause that the line must find for it. */
async function trips(page: Page, phone: string, chaos: Chaos): Promise<void> {
  let before = await dropsOf(page);
  await chaos.control('/faults', { fault: 'half_open', for_ms: 60_000, group: `phone-${phone}.${ROOM}` });
  await untilBack(page, 'peer_silent', before);

  before = await dropsOf(page);
  const told = await page.evaluate(() => window.phone.life.length);
  await look(page, true);
  await untilState(page, 'hidden');
  await look(page, false);
  await untilBack(page, 'background', before);
  const life = await page.evaluate((told) => window.phone.life.slice(told), told);
  assert.deepEqual(life, ['hidden', 'shown'], 'the framework tells its page');

  // Overdue timers first, then the news that it is seen again: as on phones.
  await look(page, true);
  await freeze(page, FROZEN_MS);
  await look(page, false);
  await untilState(page, 'online');
}

function dropsOf(page: Page): Promise<number> {
  return page.evaluate(() => window.phone.drops.length);
}
