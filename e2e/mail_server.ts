// A mail server of the tests' own: keeps letters, and is slow or refuses when told to.
import { type Server, type Socket, createServer } from 'node:net';
import { freePort } from './program.ts';

export interface Letter {
  to: string;
  data: string;
}

/** The text part of a letter, as a mail program shows it. */
export function textOf(letter: Letter): string {
  const boundary = /boundary="?([^"\r\n;]+)/.exec(letter.data)?.[1];
  const parts = boundary ? letter.data.split(`--${boundary}`) : [letter.data];
  const part = parts.find((one) => /^content-type: text\/plain/im.test(one)) ?? '';
  const [head, body] = [part.slice(0, part.indexOf('\r\n\r\n')), part.slice(part.indexOf('\r\n\r\n') + 4)];
  const encoding = /^content-transfer-encoding: (\S+)/im.exec(head)?.[1]?.toLowerCase();
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString();
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1').toString();
  const bytes = body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}

/** It tells an owner what became of a run. */
function isSummary(letter: Letter): boolean {
  return !/^list-unsubscribe:/im.test(letter.data) && /\/mailings\/[^/]+\/runs\//.test(textOf(letter));
}

export class MailServer {
  readonly letters: Letter[] = [];
  /** Letters to owners about their runs; the others are in `letters`. */
  readonly summaries: Letter[] = [];
  /** Milliseconds before each letter is accepted. */
  delay = 0;
  /** How often somebody's letter was offered, summaries not counted. */
  readonly asked = new Map<string, number>();
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(options = ''): Promise<MailServer> {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
    const mail = new MailServer(server, `smtp://127.0.0.1:${port}?tls=none${options}`);
    server.on('connection', (socket) => mail.talk(socket));
    return mail;
  }

  /** Listens again where it did before [`stop`]. */
  async again(): Promise<void> {
    const port = Number(new URL(this.url).port);
    await new Promise<void>((done) => this.server.listen(port, '127.0.0.1', done));
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }

  /**
   * `refused@…` gets 550, `spam@…` 554, `later@…` 450, `once@…` 450 the first time, all others are accepted. A number may
   * follow the name.
   */
  private answer(recipient: string): string {
    const asked = this.asked.get(recipient) ?? 0;
    this.asked.set(recipient, asked + 1);
    switch (/^([a-z]+)\d*@/.exec(recipient)?.[1]) {
      case 'refused':
        return '550 5.1.1 There is no such person here';
      case 'spam':
        return '554 5.7.1 Your letter was taken for spam';
      case 'later':
        return '450 4.2.0 Come back later';
      case 'once':
        return asked === 0 ? '450 4.2.0 Greylisted, come back in a minute' : '250 2.1.5 Ok';
      default:
        return '250 2.1.5 Ok';
    }
  }

  private talk(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    socket.setEncoding('latin1');
    const say = (line: string) => socket.writable && socket.write(`${line}\r\n`);
    let input = '';
    let recipients: string[] = [];
    let inData = false;
    let busy = false;
    const step = async () => {
      if (busy) return;
      busy = true;
      for (;;) {
        const end = inData ? (input.startsWith('.\r\n') ? 0 : input.indexOf('\r\n.\r\n')) : input.indexOf('\r\n');
        if (end < 0) break;
        if (inData) {
          const data = input.slice(0, end);
          input = input.slice(end + (input.startsWith('.\r\n') ? 3 : 5));
          inData = false;
          if (this.delay > 0) await new Promise((done) => setTimeout(done, this.delay));
          for (const to of recipients) {
            const letter = { to, data: data.replaceAll('\r\n..', '\r\n.') };
            if (isSummary(letter)) {
              this.summaries.push(letter);
              this.asked.delete(to);
            } else this.letters.push(letter);
          }
          recipients = [];
          say(`250 2.0.0 Ok: queued as ${this.letters.length}`);
          continue;
        }
        const line = input.slice(0, end);
        input = input.slice(end + 2);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'EHLO') say('250-test.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES');
        else if (verb === 'MAIL' || verb === 'RSET') {
          recipients = [];
          say('250 2.1.0 Ok');
        } else if (verb === 'RCPT') {
          const recipient = /<([^>]*)>/.exec(line)?.[1] ?? '';
          const answer = this.answer(recipient);
          if (answer.startsWith('250')) recipients.push(recipient);
          say(answer);
        } else if (verb === 'DATA') {
          inData = recipients.length > 0;
          say(inData ? '354 End data with <CR><LF>.<CR><LF>' : '554 5.5.1 No valid recipients');
        } else if (verb === 'QUIT') {
          say('221 2.0.0 Bye');
          socket.end();
        } else say('250 2.0.0 Ok');
      }
      busy = false;
    };
    socket.on('data', (chunk) => {
      input += chunk;
      void step();
    });
    say('220 test.example ESMTP');
  }
}
