/** Four pages play whole games of Gold behind a bad network; the server is killed in the middle of each. */

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { WAIT_MS, startBrowser } from '../src/browser.ts';
import { TOP, startChaos, startGold, type Chaos } from '../src/process.ts';

/** What the page shows, as far as it is compared. */
interface View {
  n: number;
  phase: string;
  why?: string;
  cells: string;
  settings: { gold: number };
  seats: { score: number }[];
}

declare global {
  interface Window {
    gold: {
      room: { room: string; view: View | undefined; told: string[] } | undefined;
      ask(room: string): Promise<View>;
      errors: string[];
    };
  }
}

/** `GAMES=20` for more. */
const GAMES = Number(process.env['GAMES'] ?? 1);
const PLAYERS = 4;
/** From one fault to the next. */
const FAULT_EVERY_MS = 700;
/** `PICTURE_OF_GOLD=docs/gold.png` takes the one of the README anew. */
const PICTURE = `${TOP}/${process.env['PICTURE_OF_GOLD'] ?? 'e2e/build/gold.png'}`;
const PICTURE_BYTES_MAX = 500_000;
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };

/** The same on every run. */
function random(seed: number): (end: number) => number {
  let state = seed;
  return (end) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

async function openPage(browser: Browser, url: string, name: string, viewport = DESKTOP, locale = 'en'): Promise<Page> {
  const context = await browser.newContext({ viewport, locale });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.addInitScript((name) => localStorage.setItem('gold.name', name), name);
  await page.goto(`${url}/?chaos=${name}`);
  return page;
}

/** A player that digs somewhere whenever it may. */
async function playAlong(page: Page): Promise<void> {
  await page.evaluate(() => {
    setInterval(() => {
      const cells = document.querySelectorAll<HTMLElement>('.board.mine .cell[data-sign="."]');
      cells[Math.floor(Math.random() * cells.length)]?.click();
    }, 60);
  });
}

async function disturb(chaos: Chaos, page: Page, name: string, kind: number): Promise<void> {
  if (kind === 0) return chaos.control('/faults', { fault: 'cut', group: name });
  if (kind === 1) return chaos.control('/faults', { fault: 'reset', direction: 'both', group: name });
  if (kind === 2) return chaos.control('/faults', { fault: 'stall', direction: 'both', for_ms: 600, group: name });
  await page.context().setOffline(true);
  await page.waitForFunction(() => !navigator.onLine);
  await page.context().setOffline(false);
}

const phase = (page: Page) => page.evaluate(() => window.gold.room?.view?.phase);

test('four pages, faults and a killed server end with one field and score', async (t) => {
  const server = await startGold(t);
  const chaos = await startChaos(t, server.url, 7);
  const browser = await startBrowser(t);
  const names = Array.from({ length: PLAYERS }, (_, index) => `player-${index}`);
  const pages = await Promise.all(
    names.map((name, index) => openPage(browser, chaos.url, name, index % 2 ? PHONE : DESKTOP)),
  );
  for (let game = 0; game < GAMES; game++) {
    const below = random(game + 1);
    await pages[0]!.getByRole('button', { name: `${PLAYERS} players` }).click();
    await pages[0]!.waitForFunction(() => window.gold.room?.view);
    const room = await pages[0]!.evaluate(() => window.gold.room!.room);
    for (const page of pages.slice(1)) await page.locator(`[data-room="${room}"] button`).click();
    for (const page of pages) await page.waitForFunction(() => window.gold.room?.view?.phase === 'playing');
    await Promise.all(pages.map(playAlong));
    const faults = setInterval(() => {
      const who = below(PLAYERS);
      // A fault that meets the restart of the server is none.
      disturb(chaos, pages[who]!, names[who]!, below(4)).catch(() => undefined);
    }, FAULT_EVERY_MS);
    try {
      await pages[1]!.waitForFunction(() => (window.gold.room?.view?.n ?? 0) > 30);
      await server.crash();
      const until = Date.now() + 5 * WAIT_MS;
      while ((await phase(pages[0]!)) !== 'over' && Date.now() < until)
        await pages[0]!.waitForFunction(() => window.gold.room?.view?.phase === 'over').catch(() => undefined);
    } finally {
      clearInterval(faults);
    }
    await chaos.control('/heal', {});
    const late = await openPage(browser, chaos.url, 'spectator');
    await late.evaluate((room) => (location.hash = room), room);
    for (const page of [...pages, late]) await page.waitForFunction(() => window.gold.room?.view?.phase === 'over');

    const truth = await late.evaluate((room) => window.gold.ask(room), room);
    const told = await late.evaluate(() => window.gold.room!.told);
    assert.equal(truth.why, 'found');
    assert.equal(truth.seats.reduce((sum, seat) => sum + seat.score, 0), truth.settings.gold);
    for (const [index, page] of [...pages, late].entries()) {
      const shown = await page.evaluate(() => ({ view: window.gold.room!.view, told: window.gold.room!.told, errors: window.gold.errors }));
      assert.deepEqual(shown.view, truth, `game ${game}, page ${index}`);
      assert.deepEqual(shown.told, told, `game ${game}, page ${index}: every move once, in order`);
      assert.deepEqual(shown.errors, []);
      const signs = await page.locator('.cell').evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).dataset['sign']).join(''));
      assert.equal(signs, truth.cells);
    }
    await late.context().close();
    // From the home page again: nothing of the last game is left.
    for (const page of pages) await page.goto(`${chaos.url}/?chaos=${names[pages.indexOf(page)]}`);
  }
});

/** Both screens beside each other, as in the README. */
async function takePicture(browser: Browser, pages: Page[]): Promise<void> {
  const shots = await Promise.all(pages.map((page) => page.screenshot()));
  const images = shots.map((shot) => `<img height="700" src="data:image/png;base64,${shot.toString('base64')}">`);
  const paper = await browser.newPage({ viewport: { width: 1520, height: 760 } });
  const style = 'margin:0;display:flex;gap:30px;align-items:center;justify-content:center;height:100vh;background:#d9c9a8';
  await paper.setContent(`<body style="${style}">${images.join('')}`);
  await paper.locator('img').evaluateAll((images) => Promise.all(images.map((image) => (image as HTMLImageElement).decode())));
  await paper.screenshot({ path: PICTURE });
  assert.ok((await stat(PICTURE)).size < PICTURE_BYTES_MAX);
}

test('game looks well in Chinese on a phone and in English on a desktop', async (t) => {
  const server = await startGold(t);
  const browser = await startBrowser(t);
  const [desktop, phone] = [await openPage(browser, server.url, 'Ann'), await openPage(browser, server.url, '小波', PHONE, 'zh-CN')];
  await desktop.getByRole('button', { name: '2 players' }).click();
  await desktop.waitForFunction(() => window.gold.room?.view);
  await phone.getByRole('button', { name: '加入' }).click();
  await Promise.all([desktop, phone].map(playAlong));
  for (const page of [desktop, phone]) await page.waitForFunction(() => (window.gold.room?.view?.n ?? 0) > 24);
  for (const page of [desktop, phone])
    await page.waitForFunction(() => document.getElementById('line')!.dataset['state'] === 'online');
  assert.match((await phone.locator('.headline').textContent())!, /轮到|赢了|平局/);
  assert.equal(await phone.locator('html').getAttribute('lang'), 'zh-CN');
  for (const page of [desktop, phone])
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
  await takePicture(browser, [desktop, phone]);
});

test('field is dug with the keyboard alone and fits a phone', async (t) => {
  const server = await startGold(t);
  const browser = await startBrowser(t);
  const [one, other] = [await openPage(browser, server.url, 'ann', PHONE), await openPage(browser, server.url, 'bo', PHONE)];
  await one.getByRole('button', { name: '2 players' }).press('Enter');
  await one.waitForFunction(() => window.gold.room?.view);
  await other.getByRole('button', { name: 'Join' }).press('Enter');
  await one.waitForFunction(() => window.gold.room?.view?.phase === 'playing');
  await other.waitForFunction(() => window.gold.room?.view?.phase === 'playing');
  const mine = (page: Page) => page.locator('.board.mine').count();
  const page = (await mine(one)) ? one : other;
  await page.locator('.cell').first().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  for (const screen of [one, other]) await screen.waitForFunction(() => window.gold.room!.view!.cells[11] !== '.');
  assert.match((await page.locator('.cell').nth(11).getAttribute('aria-label'))!, /^row 2, column 2: /);
  assert.match((await page.locator('#told').textContent())!, /digs|opens|finds/);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
});
