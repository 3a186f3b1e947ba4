// Where the server is. In the developer tools on this machine this works as it is; for a phone, name this machine's address in
// the network, and for everybody else a domain with a certificate. MOCK_LOGIN is for a server with `--mock-login`, as `cargo
// xtask gold` starts it: with an app id of your own it is false, and the server is told the id and its secret.
module.exports = { HTTP: 'http://127.0.0.1:8010', SOCKET: 'ws://127.0.0.1:8010/connect', MOCK_LOGIN: true };
