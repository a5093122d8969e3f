// A proxy on loopback that adds latency: data is passed on after the given number of milliseconds,
// in both directions. The kernel's netem would need privileges and modules that not every machine
// has.
//
//   node bench/delay.mjs PORT MILLISECONDS        prints the port it listens on
import { connect, createServer } from 'node:net';

const [port, milliseconds] = process.argv.slice(2).map(Number);

/** Passes on data and the end of the stream from `from` to `to`, with the delay. */
function late(from, to) {
  const waiting = [];
  const pass = () => {
    const now = performance.now();
    while (waiting.length > 0 && waiting[0].at <= now + 0.5) {
      const { chunk } = waiting.shift();
      if (chunk) to.write(chunk);
      else to.end();
    }
    if (waiting.length > 0) setTimeout(pass, waiting[0].at - performance.now());
  };
  const later = (chunk) => {
    waiting.push({ chunk, at: performance.now() + milliseconds });
    if (waiting.length === 1) setTimeout(pass, milliseconds);
  };
  from.on('data', later);
  from.on('end', () => later());
  from.on('error', () => to.destroy());
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  late(near, far);
  late(far, near);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
