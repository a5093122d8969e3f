use crate::service::{Service, eventually};
use crate::support::{ANN, Home};
use skychimp_smtp::testing::{Action, ServerScript, Step};

/// R2, R29: after a run, the service sends its owner one summary through the same mail server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_owner_reads_what_became_of_a_run() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt if at.address == "r2@example.com" => Action::reply("550 5.1.1 nobody"),
            _ => Action::Default,
        })
        .start()
        .await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(5);
    let first = home.mailing(&message, &["--run"]);
    let service = Service::start(home.command(&["serve", "--json"]));
    let to_ann = || {
        let mut letters = server.accepted();
        letters.retain(|letter| letter.to == [ANN]);
        letters
    };
    eventually("there is a letter", || to_ann().len() == 1);
    let second = home.mailing(&message, &["--run"]);
    eventually("there is another one", || to_ann().len() == 2);
    service.stop().done();
    let letters = to_ann();
    // a recipient who does not exist gets no second letter
    let told = ["4 of 5 letters", "4 of 4 letters"];
    for ((mailing, letter), told) in [first, second].iter().zip(&letters).zip(told) {
        let text = String::from_utf8_lossy(&letter.data).replace("=\r\n", "");
        assert!(
            text.contains(&format!("Subject: News: {told} sent\r\n")),
            "{text}"
        );
        let run = home.show(mailing)["run"].as_str().unwrap().to_owned();
        assert!(
            text.contains(&format!("/mailings/{mailing}/runs/{run}")),
            "{text}"
        );
    }
    assert_eq!(letters.len(), 2);
}
