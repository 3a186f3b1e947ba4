-- The tables of both back ends, in what SQLite, PostgreSQL and MySQL have in common.

CREATE TABLE members (
  id VARCHAR(64) NOT NULL PRIMARY KEY,
  -- Counts the changes of this member. Each change locks the row by it, so that the changes of one member are in a row.
  changes BIGINT NOT NULL
);

CREATE TABLE cards (
  number VARCHAR(32) NOT NULL PRIMARY KEY,
  member VARCHAR(64) NOT NULL,
  bound_at BIGINT NOT NULL
);
CREATE INDEX cards_of_member ON cards (member);

CREATE TABLE orders (
  id VARCHAR(64) NOT NULL PRIMARY KEY,
  member VARCHAR(64) NOT NULL,
  card VARCHAR(32) NOT NULL,
  item VARCHAR(64) NOT NULL,
  step BIGINT NOT NULL,
  changed_at BIGINT NOT NULL
);
CREATE INDEX orders_of_member ON orders (member);

CREATE TABLE messages (
  id VARCHAR(64) NOT NULL PRIMARY KEY,
  member VARCHAR(64) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  about VARCHAR(64) NOT NULL,
  sent_at BIGINT NOT NULL
);
CREATE INDEX messages_of_member ON messages (member, sent_at);

-- Requests that were executed, with their answers: a repetition is answered from here.
CREATE TABLE requests (
  member VARCHAR(64) NOT NULL,
  request_key VARCHAR(128) NOT NULL,
  answer TEXT NOT NULL,
  answered_at BIGINT NOT NULL,
  PRIMARY KEY (member, request_key)
);

-- What is still to be published: written in the transaction of the change, deleted when the gateway has it.
CREATE TABLE outbox (
  member VARCHAR(64) NOT NULL,
  change_number BIGINT NOT NULL,
  part BIGINT NOT NULL,
  id VARCHAR(64) NOT NULL,
  -- The channel; empty: the member's inbox.
  channel VARCHAR(128) NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (member, change_number, part)
);

-- How many subscribe messages a member has consented to, by template: one tap is one message.
CREATE TABLE consents (
  member VARCHAR(64) NOT NULL,
  template VARCHAR(64) NOT NULL,
  quota BIGINT NOT NULL,
  PRIMARY KEY (member, template)
);

-- How far a member's inbox was looked at for subscribe messages, so that no message is told twice.
CREATE TABLE notices (
  member VARCHAR(64) NOT NULL PRIMARY KEY,
  epoch VARCHAR(64) NOT NULL,
  newest BIGINT NOT NULL,
  outcome VARCHAR(32) NOT NULL,
  noticed_at BIGINT NOT NULL
);
