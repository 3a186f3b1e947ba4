// A receiver of Tautline's hooks for Node. HOOK_SECRET is one of `secrets` of the section, PORT where it listens.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.HOOK_SECRET);
// In your database, written in the same transaction as the effect.
const answers = new Map();

const methods = {
  "order.create": (question) => ({ result: { data: { order: answers.size + 1, sku: question.data.sku } } }),
};

function answer(question) {
  switch (question.kind) {
    case "connect":
    case "refresh":
      return { result: { user: "ali", subs: ["news"] } };
    case "subscribe":
      return question.user === null ? { error: { code: "permission_denied", message: "log in" } } : { result: {} };
    case "publish":
      return { result: { data: { ...question.data, by: question.user } } };
    case "call": {
      const method = methods[question.method];
      return method ? method(question) : { error: { code: "not_found", message: "there is no such method" } };
    }
    default:
      return { error: { code: "permission_denied", message: "not here" } };
  }
}

function answerOnce(question) {
  // A repetition has the same id: it gets the same answer, and has no effect.
  const known = answers.get(question.id) ?? answer(question);
  if (question.kind === "call") answers.set(question.id, known);
  return known;
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  let question;
  try {
    question = webhook.verify(body, request.headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answerOnce(question)));
});
// Longer than the gateway keeps an idle connection, which is 30 s.
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT ?? 8081), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
