// message-db-connector has its address built in: localhost:5432. Loaded before it (node --require),
// this leads that address to PGHOST and PGPORT; the client itself stays as it is.
const { Socket } = require('node:net');

const connect = Socket.prototype.connect;
Socket.prototype.connect = function (...where) {
  const isBuiltIn = where[0] === 5432 && where[1] === 'localhost';
  return connect.apply(this, isBuiltIn ? [Number(process.env.PGPORT), process.env.PGHOST] : where);
};
