/** Apps that are written against the vendors' own typings compile against what ships, under `strict`. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const SDK = resolve(__dirname, '../../..');

// Each alone: their globals contradict each other.
for (const [what, folder] of [
  ['miniprogram-api-typings', 'wechat'],
  ['minigame-api-typings', 'wechat-game'],
  ['@mini-types/alipay', 'alipay'],
  ['@douyin-microapp/typings', 'douyin'],
  ['@dcloudio/types, and Vue', 'uni'],
  ['@tarojs/taro, and React', 'taro'],
  ['@types/react-native, and React', 'react-native'],
  ['browsers, Node and ws', 'node-dom'],
] as const) {
  test(`${what}: what ships fits, and so do an app's own methods and channels`, async () => {
    const tsc = [resolve(SDK, 'node_modules/typescript/bin/tsc'), '-p', resolve(SDK, 'test/typings', folder)];
    const { stdout } = await promisify(execFile)(process.execPath, tsc).catch(
      (error: { stdout: string }) => error,
    );
    assert.equal(stdout, '');
  });
}
