/** `wx` as far as the pages of the book need it, over the WebSocket of Node: `node wechat.cjs <file>` runs a mini program. */

let logins = 0;
const nothing = () => {};

function connectSocket({ url, protocols, success }) {
  const socket = new WebSocket(url.replace(/^wss:\/\/[^/:]+(?=\/)/, process.env.GATEWAY), protocols);
  const on = (type, pass) => (listener) => socket.addEventListener(type, (event) => listener(pass(event)));
  success?.({});
  return {
    onOpen: on('open', () => ({})),
    onMessage: on('message', ({ data }) => ({ data })),
    onClose: on('close', ({ code, reason }) => ({ code, reason })),
    onError: on('error', ({ message }) => ({ errMsg: message })),
    send: ({ data, success: sent }) => (socket.send(data), sent?.({})),
    close: ({ code, reason, success: closed } = {}) => (socket.close(code, reason), closed?.({})),
  };
}

globalThis.wx = {
  connectSocket,
  login: ({ success }) => success({ code: `ann.${++logins}` }),
  onAppShow: nothing,
  onAppHide: nothing,
  onNetworkStatusChange: nothing,
  getNetworkType: nothing,
};
globalThis.App = (app) => {
  globalThis.getApp = () => app;
  app.onLaunch?.();
};
globalThis.Page = (page) => {
  page.setData = (data) => {
    Object.assign(page.data, data);
    console.log('setData', JSON.stringify(data));
  };
  page.onLoad({});
};

const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');
const { resolve } = require('node:path');
for (const file of process.argv.slice(2)) {
  new Function('require', readFileSync(file, 'utf8'))(createRequire(resolve(file)));
}
