/**
 * Two pages in two browser contexts, each with one phone, ninety seconds of bad network: nothing lost, nothing twice.
 *
 * `SEED=7` runs one storm again, `STORM_SECONDS=180` a longer one. The books are kept here, out of both pages' journals:
 * neither page sees the whole.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { Ledger, type Entry } from '../../examples/demo/src/ledger.ts';
import { WAIT_MS, openDemo, startBrowser } from '../src/browser.ts';
import { drainGateway, startChaos, startDemo, type Chaos } from '../src/process.ts';
import { storm, type Event } from '../src/storm.ts';
import { summary } from '../src/summary.ts';

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000));
const STORM_MS = Number(process.env['STORM_SECONDS'] ?? 90) * 1000;
/** Publications a second, each way. */
const RATE = 20;
const ROOM = 'storm';

type Pages = Record<string, Page>;

test(`two phones go through a storm of ${STORM_MS / 1000} s and nothing is lost (SEED=${SEED})`, async (t) => {
  console.log(`seed ${SEED}; run it again alone: SEED=${SEED} npm run test:storm`);
  const gateway = await startDemo(t);
  const chaos = await startChaos(t, gateway, SEED);
  const browser = await startBrowser(t);
  const open = (phones: string) =>
    openDemo(browser, chaos.url, { phones, room: ROOM, rate: String(RATE), journal: '' });
  const pages: Pages = { a: await open('a'), b: await open('b') };

  const started = Date.now();
  for (const event of storm(SEED, STORM_MS, Object.keys(pages))) {
    await sleep(Math.max(0, started + event.at - Date.now()));
    await happen(event, pages, chaos, gateway);
  }
  await sleep(Math.max(0, started + STORM_MS - Date.now()));
  await chaos.control('/heal', {});

  const { ledger, journal, outages, errors } = await untilQuiet(pages);
  const figures = ledger.figures();
  console.log(summary(SEED, figures, journal, outages));
  const state = (await (await fetch(`${gateway}/demo/state`)).json()) as { calls: { executed_twice: number } };

  const { lost, doubled, reordered, publishedTwice, settledTwice } = figures;
  const wrong = { lost, doubled, reordered, publishedTwice, settledTwice, executedTwice: state.calls.executed_twice };
  assert.deepEqual(wrong, { lost: 0, doubled: 0, reordered: 0, publishedTwice: 0, settledTwice: 0, executedTwice: 0 });
  assert.deepEqual(errors, []);
  assert.equal(figures.settled, figures.asked, 'every call is settled');
  assert.ok(journal.every((entry) => entry.what !== 'settled' || entry.ok), 'every call is answered');
  // The gateway was there all the time and its log reaches back to the start, so nothing may be in doubt either.
  assert.deepEqual([figures.failed, figures.gaps], [0, 0], 'every publication is acknowledged, no gap is told');
  assert.equal(figures.received, figures.sent, 'each phone got all of the other one');
  // A phone is away for a fifth of the time at most, and a busy machine skips beats.
  assert.ok(figures.sent > (STORM_MS / 1000) * RATE, `only ${figures.sent} publications were sent`);
  assert.ok(outages.length > STORM_MS / 20_000, `only ${outages.length} drops: that was no storm`);
});

async function happen(event: Event, pages: Pages, chaos: Chaos, gateway: string): Promise<void> {
  switch (event.what) {
    case 'fault':
      return chaos.control('/faults', { ...event.fault, group: `phone-${event.phone}.${ROOM}` });
    case 'drain':
      await drainGateway(gateway);
      return;
    case 'hide':
    case 'show': {
      const [phone, hidden] = [event.phone, event.what === 'hide'] as const;
      return pages[phone]!.evaluate(([phone, hidden]) => window.demo.phones[phone]!.background(hidden), [phone, hidden] as const);
    }
  }
}

/** Lets the phones rest and waits until everything is settled and handed over, or clearly never will be. */
async function untilQuiet(pages: Pages) {
  for (const [name, page] of Object.entries(pages)) {
    await page.evaluate(async (name) => {
      const phone = window.demo.phones[name]!;
      if (phone.switches.hidden) await phone.background(false);
      phone.rest();
    }, name);
  }
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const books = await putTogether(pages);
    const { underway, awaited, asked, settled } = books.ledger.figures();
    if ((underway === 0 && awaited === 0 && asked === settled) || Date.now() > deadline) {
      assert.deepEqual([underway, awaited], [0, 0], 'publications under way, and awaited by a phone');
      return books;
    }
    await sleep(500);
  }
}

async function putTogether(pages: Pages) {
  const parts = await Promise.all(
    Object.values(pages).map((page) =>
      page.evaluate(() => {
        const { journal, outages, errors } = window.demo;
        return { journal, outages, errors };
      }),
    ),
  );
  const journal: Entry[] = parts.flatMap((part) => part.journal);
  const ledger = new Ledger();
  journal.forEach((entry) => ledger.enter(entry));
  return { ledger, journal, outages: parts.flatMap((part) => part.outages), errors: parts.flatMap((part) => part.errors) };
}
