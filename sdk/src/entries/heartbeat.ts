/** `tautline/heartbeat`: a drop-in for `websocket-heartbeat-miniprogram`. */

export { WebsocketHeartbeat, WebsocketHeartbeat as default } from '../plain/heartbeat.js';
export * from '../plain/options.js';
export type { Host } from '../host.js';
