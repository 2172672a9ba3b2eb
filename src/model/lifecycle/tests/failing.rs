//! Starts that fail, each under its own reason.

use super::*;
use crate::model::pod::is_hopeless;
use crate::model::printer::volumes_condition;
use crate::problem::Kind;

#[test]
fn a_missing_image_alternates_between_its_two_reasons() {
    let (mut story, _) = Story::of(one("Always"));
    let failure = Failure::Image("no entry for it".to_owned());
    assert_eq!(story.fails_to_start("app", failure.clone()), "");
    assert_eq!(story.word("app"), "ErrImagePull");
    assert_eq!(story.wakes(), (500, String::new()));
    assert_eq!(story.word("app"), "ImagePullBackOff");
    assert!(
        story
            .shown("app")
            .message
            .starts_with("Back-off pulling image \"x\"")
    );
    assert_eq!(story.wakes(), (500, "start app".to_owned()));
    story.fails_to_start("app", failure);
    assert_eq!(story.phase(), "Pending");
    assert_eq!(
        story.tell(PodEvent::Reload),
        "start app",
        "it may be there now"
    );
    assert_eq!(story.shown("app").restarts, 0);
}

#[test]
fn v25_a_bad_configuration_waits_under_its_own_reason() {
    let (mut story, _) = Story::of(one("Always"));
    let failure = Failure::Config("configmap \"c\" not found".to_owned());
    story.fails_to_start("app", failure);
    let shown = story.shown("app");
    assert_eq!(shown.word, "CreateContainerConfigError");
    assert_eq!(shown.message, "configmap \"c\" not found");
    assert_eq!(story.wakes().1, "start app");
}

#[test]
fn v55_a_process_that_cannot_be_made_is_a_run_with_code_128() {
    let (mut story, _) = Story::of(one("Never"));
    let failure = Failure::Launch("executing: not found".to_owned());
    assert_eq!(story.fails_to_start("app", failure.clone()), "finish");
    assert_eq!(story.word("app"), "StartError 128");
    let (mut story, _) = Story::of(one("Always"));
    assert_eq!(story.fails_to_start("app", failure.clone()), "start app");
    story.fails_to_start("app", failure);
    let shown = story.shown("app");
    assert_eq!(
        (shown.word.as_str(), shown.restarts),
        ("RunContainerError", 1)
    );
    assert_eq!(shown.message, "executing: not found");
    assert_eq!(shown.last, Some(128));
    assert_eq!(story.wakes(), (500, String::new()));
    assert_eq!(story.word("app"), "CrashLoopBackOff");
    assert_eq!(story.wakes(), (500, "start app".to_owned()));
}

#[test]
fn what_cannot_be_started_is_hopeless_at_the_second_try() {
    let (mut story, _) = Story::of(one("Always"));
    let failure = Failure::Launch("executing: not found".to_owned());
    story.fails_to_start("app", failure.clone());
    assert!(!is_hopeless(story.container("app")), "it is tried again");
    story.fails_to_start("app", failure);
    assert!(is_hopeless(story.container("app")));
    story.wakes();
    assert!(is_hopeless(story.container("app")), "while it backs off");
}

#[test]
fn a_name_that_no_image_can_have_waits_under_its_own_reason() {
    let (mut story, _) = Story::of(one("Always"));
    let failure = Failure::ImageName("couldn't parse image name \"x\"".to_owned());
    story.fails_to_start("app", failure);
    let shown = story.shown("app");
    assert_eq!(shown.word, "InvalidImageName");
    let message = "Failed to apply default image tag \"x\": couldn't parse image name \"x\"";
    assert_eq!(shown.message, message);
    assert_eq!(story.wakes(), (1000, "start app".to_owned()));
}

#[test]
fn missing_volumes_are_tried_again_before_anything_starts() {
    let pod = pod(&one("Always"));
    let mut pet = PodMachine::new(&pod, None, BackOff::default(), at(Duration::ZERO));
    assert_eq!(
        pet.next(PodEvent::Tick, at(Duration::ZERO)),
        [Action::Prepare]
    );
    let failed = PodEvent::Prepared(Err(Problem::failed("no claim")));
    let said = pet.next(failed, at(Duration::ZERO));
    assert_eq!(reasons(&said), ["Scheduled", "FailedMount"]);
    let again = pet.deadline().unwrap();
    assert_eq!(again, Duration::from_millis(500));
    assert_eq!(waiting_message(&pet).as_deref(), Some("no claim"));
    assert_eq!(pet.next(PodEvent::Tick, at(again)), [Action::Prepare]);
    pet.next(PodEvent::Prepared(Ok(())), at(again));
    assert_eq!(waiting_message(&pet), None);
}

/// The reasons of the events that were told.
fn reasons(said: &[Action]) -> Vec<&str> {
    let reason = |action| {
        if let &Action::Report(Report { reason, .. }) = action {
            return reason;
        }
        ""
    };
    said.iter().map(reason).collect()
}

#[test]
fn a_pod_whose_claim_is_missing_is_not_scheduled() {
    let pod = pod(&one("Always"));
    let begin = at(Duration::ZERO);
    let mut pet = PodMachine::new(&pod, None, BackOff::default(), begin);
    pet.next(PodEvent::Tick, begin);
    let missing = || {
        let words = "persistentvolumeclaim \"store\" not found";
        PodEvent::Prepared(Err(Problem::new(Kind::NotFound, words)))
    };
    assert_eq!(reasons(&pet.next(missing(), begin)), ["FailedScheduling"]);
    let status = pet.status();
    let conditions = status.conditions.as_ref().unwrap();
    assert_eq!(conditions.len(), 1);
    assert_eq!(conditions[0].reason.as_deref(), Some("Unschedulable"));
    assert!(status.start_time.is_none() && status.container_statuses.is_none());
    let again = at(pet.deadline().unwrap());
    pet.next(PodEvent::Tick, again);
    let said = pet.next(PodEvent::Prepared(Ok(())), again);
    assert_eq!(reasons(&said), ["Scheduled", ""], "and it starts");
    assert!(pet.status().start_time.is_some());
    // One that had its place keeps it.
    let before = pet.status().clone();
    let mut next = PodMachine::new(&pod, Some(&before), BackOff::default(), again);
    next.next(PodEvent::Tick, again);
    assert_eq!(reasons(&next.next(missing(), again)), ["FailedMount"]);
}

#[test]
fn v61_an_evicted_pod_has_failed() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    assert_eq!(
        story.tell(PodEvent::Evicted("too much".to_owned())),
        "term app"
    );
    assert_eq!(story.exits("app", Exit::Signal(15)), "finish");
    let status = story.pet.status();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("Evicted"));
}

/// What the status says of volumes that are not in place.
fn waiting_message(pet: &PodMachine) -> Option<String> {
    let mut conditions = pet.status().conditions.iter().flatten();
    let known = conditions.find(|it| it.type_ == volumes_condition())?;
    known.message.clone()
}

#[test]
fn i12_a_pod_may_have_a_deadline() {
    let mut spec = one("Always");
    spec["activeDeadlineSeconds"] = json!(60);
    let (mut story, _) = Story::of(spec);
    story.started("app");
    assert_eq!(story.wakes(), (60_000, "term app".to_owned()));
    assert_eq!(story.ends("app", 0), "finish");
    assert_eq!(story.phase(), "Failed");
    assert_eq!(
        story.pet.status().reason.as_deref(),
        Some("DeadlineExceeded")
    );
}

#[test]
fn an_image_that_is_never_pulled_keeps_its_reason() {
    let (mut story, _) = Story::of(one("Always"));
    story.fails_to_start("app", Failure::ImageNever("why".to_owned()));
    assert_eq!(story.word("app"), "ErrImageNeverPull");
    assert_eq!(story.shown("app").message, "why");
    assert_eq!(story.wakes(), (1000, "start app".to_owned()));
}
