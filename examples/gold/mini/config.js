// Where the server is. In the developer tools on this machine this works as it is; for a phone, name this machine's address in
// the network, and for everybody else a domain with a certificate.
module.exports = { HTTP: 'http://127.0.0.1:8010', SOCKET: 'ws://127.0.0.1:8010/connect' };
