//! Starts that fail, and what starts beside.

use super::*;

#[test]
fn a_start_that_fails_names_the_stage() {
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "x", "command": ["no-such-program"]},
    ]});
    let mut pod = running(spec);
    assert_eq!(pod.ended(), 0);
    let status = pod.status();
    let ended = &main_state(&status)["terminated"];
    assert_eq!(
        (&ended["exitCode"], &ended["reason"]),
        (&json!(128), &json!("StartError"))
    );
    let message = ended["message"].as_str().unwrap();
    let wanted =
        "starting web-0: executing \"no-such-program\": executable file not found in $PATH";
    assert_eq!(message, wanted);

    let mut main = shell("main", "true");
    main["workingDir"] = json!("/no/such/directory");
    let mut pod = running(json!({"restartPolicy": "Never", "containers": [main]}));
    assert_eq!(pod.ended(), 0);
    let status = pod.status();
    let message = main_state(&status)["terminated"]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.starts_with("starting web-0: changing directory: /no/such/directory: No such file"),
        "{message}"
    );
}

#[test]
fn an_unknown_image_waits_until_it_is_known() {
    let pod = running(json!({"containers": [{"name": "main", "image": "nobody/knows:v1"}]}));
    pod.until("a missing image", |status| {
        let waiting = &main_state(status)["waiting"];
        ["ErrImagePull", "ImagePullBackOff"].contains(&waiting["reason"].as_str().unwrap_or(""))
    });
    let entry = "[\"nobody/knows\"]\nentrypoint = [\"sleep\", \"1000\"]\n";
    fs::write(pod.file("images.toml"), entry).unwrap();
    pod.tell(r#"{"reload":{}}"#);
    let status = pod.until_ready();
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_missing_config_map_is_a_configuration_error() {
    let mut main = shell("main", "exec sleep 1000");
    main["envFrom"] = json!([{"configMapRef": {"name": "nope"}}]);
    let pod = Sandbox::new(json!({"containers": [main]}));
    let mut pod = pod;
    pod.start();
    let status = pod.until("a configuration error", |status| {
        main_state(status)["waiting"]["reason"] == "CreateContainerConfigError"
    });
    assert_eq!(status["phase"], "Pending");
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
}

#[test]
fn a_sidecar_runs_beside_and_stops_last() {
    let mut side = shell(
        "side",
        "trap 'echo side >> $F/order; exit 0' TERM; \
        echo up >> $F/order; while :; do sleep 0.05; done",
    );
    side["restartPolicy"] = json!("Always");
    side["startupProbe"] = json!({"exec": {"command": ["/bin/sh", "-c", "test -s $F/order"]}});
    let main = shell(
        "main",
        "echo main >> $F/order; trap 'echo end >> $F/order; exit 0' TERM; \
        while :; do sleep 0.05; done",
    );
    let mut pod = running(json!({"initContainers": [side], "containers": [main]}));
    pod.until_ready();
    pod.until_text("order", |text| text == "up\nmain\n");
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.text("order"), "up\nmain\nend\nside\n");
}
