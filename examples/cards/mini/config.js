// Where the gateway is. In the developer tools on this machine this works as it is; for a phone, name this machine's address in
// the network, and for everybody else a domain with a certificate. The template is one of the app's own subscribe messages.
module.exports = {
  SOCKET: 'ws://127.0.0.1:8021/connect',
  HELP: 'http://127.0.0.1:8020/plain.html',
  TEMPLATE: 'order-shipped',
};
