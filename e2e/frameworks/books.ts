/** The books over the journals of all phones of one storm. */

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { Ledger, type Entry } from '../../examples/demo/src/ledger.ts';
import { WAIT_MS } from '../src/browser.ts';

/** How often the journals are read. */
const READ_EVERY_MS = 500;

export interface Books {
  ledger: Ledger;
  journal: Entry[];
  /** What each phone told besides. */
  parts: Awaited<ReturnType<typeof readPhone>>[];
}

/** Lets the phones rest and waits until everything is settled and handed over, or clearly never will be. */
export async function untilQuiet(pages: Page[]): Promise<Books> {
  await Promise.all(pages.map((page) => page.evaluate(() => window.phone.rest())));
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const books = await putTogether(pages);
    const { underway, awaited, asked, settled } = books.ledger.figures();
    if ((underway === 0 && awaited === 0 && asked === settled) || Date.now() > deadline) {
      assert.deepEqual([underway, awaited, asked - settled], [0, 0, 0], 'publications under way, awaited, calls that hang');
      return books;
    }
    await sleep(READ_EVERY_MS);
  }
}

async function putTogether(pages: Page[]): Promise<Books> {
  const parts = await Promise.all(pages.map(readPhone));
  const journal = parts.flatMap((part) => part.journal);
  const ledger = new Ledger();
  journal.forEach((entry) => ledger.enter(entry));
  return { ledger, journal, parts };
}

function readPhone(page: Page) {
  return page.evaluate(() => {
    const { journal, drops, outages, errors, life, line } = window.phone;
    return { journal, drops, outages: outages.list, errors, life, state: line.state };
  });
}
