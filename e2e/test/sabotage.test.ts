/** The checks can fail: a page that spoils what it is given is caught, by the counter that is meant for it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDemo, startBrowser } from '../src/browser.ts';
import { startDemo } from '../src/process.ts';

const SABOTAGE = [
  ['drop', 'lost'],
  ['double', 'doubled'],
  ['reorder', 'reordered'],
] as const;

test('a page that breaks the promise is caught', async (t) => {
  const url = await startDemo(t);
  const browser = await startBrowser(t);
  for (const [sabotage, figure] of SABOTAGE) {
    await t.test(`${sabotage} is counted as ${figure}`, async () => {
      const page = await openDemo(browser, url, { sabotage, rate: '20' });
      await page.waitForFunction((figure) => window.demo.figures()[figure] > 2, figure);
      const { lost, doubled, reordered } = await page.evaluate(() => window.demo.figures());
      const counted = Object.entries({ lost, doubled, reordered }).filter(([, count]) => count > 0);
      assert.deepEqual(counted.map(([name]) => name), [figure]);
      assert.match((await page.getAttribute(`[data-figure=${figure}]`, 'class')) ?? '', /wrong/);
      await page.context().close();
    });
  }
});
