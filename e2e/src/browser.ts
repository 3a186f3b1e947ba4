/** A real browser and the demo page in it. */

import { chromium, type Browser, type Page } from 'playwright-core';
import type { TestContext } from 'node:test';
// For the type of `window.demo`.
import type {} from '../../examples/demo/src/main.ts';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
// As root in a container there is no sandbox, without a screen no GPU; and two pages are one too many to be in front.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

/** `SLOW=6`: the page has a processor that is so many times as slow. */
const SLOW = Number(process.env['SLOW'] ?? 1);

/** Waiting for anything takes at most this long: the machine may be busy. */
export const WAIT_MS = 60_000;

export async function startBrowser(test: TestContext): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  test.after(() => browser.close());
  return browser;
}

/** Opens the demo in a context of its own and waits until its phones are online. */
export async function openDemo(browser: Browser, url: string, query: Record<string, string> = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, deviceScaleFactor: 2 });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  if (SLOW > 1) await (await context.newCDPSession(page)).send('Emulation.setCPUThrottlingRate', { rate: SLOW });
  await page.goto(`${url}/?${new URLSearchParams(query)}`);
  await page.waitForFunction(() => Object.values(window.demo.phones).every((phone) => phone.line.state === 'online'));
  return page;
}
