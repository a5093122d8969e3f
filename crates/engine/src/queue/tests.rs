use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{DeliveryId, MailingId, RecipientId, RunId};
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::recipients::recipient::RecipientFields;
use skychimp_core::sending::delivery::{OpenRun, RunLetter, SenderKind};
use skychimp_core::sending::letter_limit::OwnLetterLimits;

use super::*;
use crate::letter_writer::LetterWriter;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The run of an owner, whose letters cost `cost` each.
struct TestMailing {
    template: Arc<RunTemplate>,
    cost: u64,
    made: i64,
}

impl TestMailing {
    fn new(cost: u64) -> Self {
        let from = EmailAddress::parse("sender@example.org").unwrap();
        let writer = LetterWriter::new(&SecretKey::new([7; 32]), "", (String::new(), from));
        let run = OpenRun {
            owner_id: UserId::new(NOW),
            id: RunId::new(NOW),
            mailing_id: MailingId::new(NOW),
            due_at: NOW,
            end_at: None,
            sender: SenderKind::Somebody,
            limits: OwnLetterLimits::default(),
            is_new: false,
        };
        let letter = RunLetter {
            subject: "Hello".to_owned(),
            html: String::new(),
            text: "Hello".to_owned(),
            from_name: String::new(),
            from_email: String::new(),
            reply_to: String::new(),
        };
        Self {
            template: writer.template(run, letter).unwrap(),
            cost,
            made: 0,
        }
    }

    fn owner(&self) -> UserId {
        self.template.run.owner_id
    }

    fn letters(&mut self, count: usize) -> Vec<QueuedEmail> {
        let mut letters = Vec::new();
        for _ in 0..count {
            self.made += 1;
            letters.push(QueuedEmail::Letter {
                claim: Box::new(Claim {
                    owner: self.owner(),
                    run: self.template.run.id,
                    id: DeliveryId(self.made),
                    recipient: RecipientId::new(NOW),
                    email: "a@example.org".to_owned(),
                    email_key: "a@example.org".to_owned(),
                    fields: RecipientFields::default(),
                    attributes: serde_json::Map::new(),
                    attempts: 0,
                }),
                template: Arc::clone(&self.template),
                claimed_at: NOW,
                turn: None,
            });
        }
        letters
    }
}

/// Takes the next letter, which then has cost what those of its mailing do.
fn send(queue: &Queue, mailings: &[&TestMailing]) -> UserId {
    let mut job = queue.try_take(0).unwrap();
    let owner = job.owner().unwrap();
    let of = mailings.iter().find(|one| one.owner() == owner).unwrap();
    job.has_cost(of.cost);
    owner
}

/// R28: owners take turns by cost. Whatever is in the queue, the first letter of another owner is
/// the next one.
#[test]
fn owners_take_turns_by_cost() {
    let queue = Queue::default();
    let mut plain = TestMailing::new(50);
    let mut expensive = TestMailing::new(10_000);
    let mut single = TestMailing::new(50);
    queue.add(plain.letters(20_000));
    queue.add(expensive.letters(1_000));
    let mut spent = [0_u64; 2];
    for n in 0..5_000 {
        if n % 1_000 == 999 {
            queue.add(single.letters(1));
            let next = send(&queue, &[&plain, &expensive, &single]);
            assert_eq!(next, single.owner(), "after {n} letters");
            continue;
        }
        let owner = send(&queue, &[&plain, &expensive, &single]);
        let at = usize::from(owner == expensive.owner());
        spent[at] += [plain.cost, expensive.cost][at];
    }
    let [of_plain, of_expensive] = spent;
    assert!(
        of_plain.abs_diff(of_expensive) <= 2 * expensive.cost,
        "{of_plain} {of_expensive}"
    );
}

/// R28: an owner who had nothing to send for a while has no claim on what others have used.
#[test]
fn nobody_saves_up_turns() {
    let queue = Queue::default();
    let mut first = TestMailing::new(100);
    let mut late = TestMailing::new(100);
    queue.add(first.letters(2_000));
    for _ in 0..1_000 {
        send(&queue, &[&first]);
    }
    queue.add(late.letters(100));
    let order: Vec<_> = (0..20).map(|_| send(&queue, &[&first, &late])).collect();
    let of_late = order.iter().filter(|owner| **owner == late.owner()).count();
    assert!((9..=11).contains(&of_late), "{of_late}");
}

/// R28: a letter that goes back into the queue costs nothing and is the next of its owner; a letter
/// of the service is before all.
#[test]
fn what_goes_back_is_next() {
    let queue = Queue::default();
    let mut ann = TestMailing::new(100);
    let mut bob = TestMailing::new(100);
    queue.add(ann.letters(3));
    let id = |job: &QueuedEmail| match job {
        QueuedEmail::Letter { claim, .. } => (claim.owner, claim.id.0),
        QueuedEmail::Outbox(_) => panic!("no letter of the service"),
    };
    for _ in 0..5 {
        let job = queue.try_take(0).unwrap();
        assert_eq!(id(&job), (ann.owner(), 1));
        queue.put_back(job);
    }
    queue.add(bob.letters(1));
    let (one, other) = (queue.try_take(0).unwrap(), queue.try_take(0).unwrap());
    assert_ne!(one.owner(), other.owner());
    assert_eq!((one.lane(), other.lane()), (Lane::First, Lane::First));
    let third = queue.try_take(0).unwrap();
    assert_eq!(
        (third.owner(), third.lane()),
        (Some(ann.owner()), Lane::More)
    );
    drop((one, third));
    assert_eq!(queue.try_take(0).unwrap().lane(), Lane::First);
    assert_eq!(queue.len(), 0);
}

/// R12: of letters that take long to make, few of one owner are made at a time; others go first.
#[tokio::test]
async fn heavy_letters_of_one_owner_wait_for_each_other() {
    let queue = Queue::default();
    let mut heavy = TestMailing::new(100);
    let mut plain = TestMailing::new(100);
    heavy.template.set_heavy();
    queue.add(heavy.letters(10));
    let mut taken = Vec::new();
    let mut making = Vec::new();
    for _ in 0..HEAVY_PER_OWNER {
        taken.push(queue.try_take(0).unwrap());
        making.push(queue.making(heavy.owner()));
    }
    assert!(queue.try_take(0).is_none(), "as many as may be are made");
    queue.add(plain.letters(1));
    assert_eq!(queue.try_take(0).unwrap().owner(), Some(plain.owner()));
    let stop = CancellationToken::new();
    let next = queue.take(None, &stop);
    tokio::pin!(next);
    tokio::select! {
        biased;
        _ = &mut next => panic!("one too many"),
        () = std::future::ready(()) => {}
    }
    making.pop();
    assert_eq!(next.await.unwrap().owner(), Some(heavy.owner()));
}
