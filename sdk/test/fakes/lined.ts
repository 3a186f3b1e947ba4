/** A line in a world, online. */

import { Tautline, type TautlineOptions } from '../../src/index.js';
import { World } from './world.js';

export async function lined(options: Partial<TautlineOptions> = {}) {
  const world = new World();
  const line = new Tautline({ url: 'ws://a.example/connect', host: world, ...options });
  line.connect();
  await world.advance(100);
  const publish = async (channel: string, data: unknown): Promise<void> => {
    world.gateway.publish(channel, data, world.now());
    await world.advance(100);
  };
  return { world, line, publish };
}
