// Login service for the tests' Postfix: the server side of Dovecot's authentication protocol
// (version 1.2), with one user. Prints the port it listens on.
import { createServer } from 'node:net';

const USER = 'skychimp';
const PASSWORD = 'correct horse';

const server = createServer((socket) => {
  socket.setEncoding('utf8');
  socket.write(
    ['VERSION\t1\t2', 'MECH\tPLAIN\tplaintext', 'SPID\t1', 'CUID\t1', 'COOKIE\t00000000000000000000000000000000', 'DONE', ''].join('\n'),
  );
  let rest = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const [verb, id, ...fields] = line.split('\t');
      if (verb !== 'AUTH') continue;
      const given = fields.find((field) => field.startsWith('resp='))?.slice(5) ?? '';
      const [, user, password] = Buffer.from(given, 'base64').toString('utf8').split('\0');
      const answer = user === USER && password === PASSWORD ? `OK\t${id}\tuser=${user}` : `FAIL\t${id}\tuser=${user ?? ''}`;
      socket.write(`${answer}\n`);
    }
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
