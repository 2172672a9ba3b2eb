//! Pods that belong to no set: made, ended, lost, stopped, changed, adopted and deleted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use support::processes::Process;
use support::{Sandbox, is_installed};

/// Writes the manifest of a pod: its name, and the lines of its spec.
fn pod(sandbox: &Sandbox, name: &str, spec: &str) -> String {
    let lines: Vec<String> = spec.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{app: {name}}}\nspec:\n{}",
        lines.concat()
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

/// A pod that serves until it is asked to stop.
fn serving(sandbox: &Sandbox, name: &str, policy: &str) -> String {
    let spec = format!(
        "restartPolicy: {policy}\nterminationGracePeriodSeconds: 10\ncontainers:\n\
         - {{name: main, image: example/serve, command: [serve]}}"
    );
    pod(sandbox, name, &spec)
}

/// A pod whose only container runs a script.
fn script(sandbox: &Sandbox, name: &str, policy: &str, script: &str) -> String {
    let spec = format!(
        "restartPolicy: {policy}\nterminationGracePeriodSeconds: 5\ncontainers:\n\
         - {{name: main, image: busybox, command: [sh, -c, {script:?}]}}"
    );
    pod(sandbox, name, &spec)
}

fn restarts(sandbox: &Sandbox, pod: &str) -> i64 {
    let pod = sandbox.pod(pod);
    pod["status"]["containerStatuses"][0]["restartCount"]
        .as_i64()
        .unwrap_or(-1)
}

fn address(sandbox: &Sandbox, pod: &str) -> String {
    sandbox.pod(pod)["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_pod_runs_with_its_volumes_and_hooks_until_it_is_deleted_for_good() {
    let sandbox = Sandbox::new();
    let objects = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: mine}\nspec: \
                   {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n\
                   apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {hello: world}\n\
                   ---\napiVersion: v1\nkind: Secret\nmetadata: {name: quiet}\n\
                   stringData: {key: hush}\n";
    let objects = sandbox.manifest("objects.yaml", objects);
    let spec = "terminationGracePeriodSeconds: 10
initContainers:
- name: prepare
  image: busybox
  command: [sh, -c, 'cat words/hello quiet/key > scratch/both; echo prepared']
  volumeMounts: &mounts
  - {name: scratch, mountPath: /scratch}
  - {name: words, mountPath: /words}
  - {name: quiet, mountPath: /quiet}
  - {name: mine, mountPath: /mine}
containers:
- name: main
  image: example/serve
  command: [sh, -c, 'cp scratch/both mine/both && exec serve']
  volumeMounts: *mounts
  readinessProbe: {periodSeconds: 1, exec: {command: [is-up]}}
  lifecycle: {preStop: {exec: {command: [sh, -c, 'echo bye > mine/bye']}}}
- name: second
  image: busybox
  command: [sh, -c, 'echo second; exec sleep 1000']
volumes:
- {name: scratch, emptyDir: {}}
- {name: words, configMap: {name: words}}
- {name: quiet, secret: {secretName: quiet}}
- {name: mine, persistentVolumeClaim: {claimName: mine}}";
    let file = pod(&sandbox, "alone", spec);
    sandbox
        .ok(&format!("create -f {objects} -f {file}"))
        .says("pod/alone created");
    assert_eq!(sandbox.status_of("alone").as_deref(), Some("Running"));
    let volume =
        |name: &str| fs::read_to_string(sandbox.file(&format!("volumes/default/mine/{name}")));
    assert_eq!(volume("both").unwrap(), "worldhush");
    sandbox.ok("logs alone -c prepare").prints("prepared\n");
    sandbox.ok("logs alone -c second").prints("second\n");
    sandbox
        .ok("exec alone -c main -- sh -c 'echo $POD_NAME'")
        .prints("alone\n");
    sandbox
        .ok("describe pod alone")
        .says("Init Containers")
        .says("ClaimName");
    sandbox
        .ok("events alone")
        .says("spec.initContainers{prepare}: Container started");
    let ip = address(&sandbox, "alone");
    sandbox.ok("delete alone").prints("pod/alone deleted\n");
    assert_eq!(volume("bye").unwrap(), "bye\n");
    sandbox.ok("get pods").says("No resources found");
    assert!(!sandbox.file("pets/default/alone").exists());
    sandbox.fails(3, "delete pod/alone").says("not found");
    sandbox.assert_nothing_left();
    sandbox.ok(&format!("create -f {file}"));
    assert_eq!(address(&sandbox, "alone"), ip);
    sandbox
        .ok(&format!("delete -f {file}"))
        .says("pod/alone deleted");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pod_that_has_ended_stays_with_its_logs_and_exit_code_and_needs_nobody() {
    let sandbox = Sandbox::new();
    let good = script(&sandbox, "good", "OnFailure", "echo well");
    let bad = script(&sandbox, "bad", "Never", "echo badly; exit 3");
    sandbox.ok(&format!("create -f {good}"));
    sandbox
        .fails(5, &format!("create -f {bad}"))
        .says("exit code 3")
        .says("badly");
    sandbox.until_pet_is("good", "Completed");
    sandbox.until_pet_is("bad", "Error");
    sandbox.assert_nothing_left();
    for (name, phase, code, words) in [
        ("good", "Succeeded", 0, "well\n"),
        ("bad", "Failed", 3, "badly\n"),
    ] {
        let status = &sandbox.pod(name)["status"];
        assert_eq!(status["phase"], phase);
        let end = &status["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(end["exitCode"], code);
        sandbox.ok(&format!("logs {name}")).prints(words);
    }
    // Nothing brings them to run again: no supervisor, no start after a stop.
    sandbox.ok("stop");
    sandbox.ok("start").prints("started 0 sets\n");
    assert_eq!(restarts(&sandbox, "bad"), 0);
    sandbox.ok("wait good --for jsonpath='{.status.phase}'=Succeeded");
    sandbox.fails(5, "wait bad").says("it failed");
    sandbox.ok("delete good bad");
    sandbox.ok("get pods").says("No resources found");
    sandbox.assert_nothing_left();
}

#[test]
fn restart_policies_decide_what_runs_again() {
    let sandbox = Sandbox::new();
    let count = "n=$(cat $HOME/n-$POD_NAME 2>/dev/null || echo 0); n=$((n+1)); \
                 echo $n > $HOME/n-$POD_NAME; [ $n -ge 3 ]";
    let file = script(&sandbox, "retries", "OnFailure", count);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.until_pet_is("retries", "Completed");
    assert_eq!(restarts(&sandbox, "retries"), 2);
    let file = script(&sandbox, "loops", "Always", "exit 1");
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.until_pet_is("loops", "CrashLoopBackOff");
    let spec = "restartPolicy: Never\ninitContainers:\n- {name: first, image: busybox, command: \
                [sh, -c, exit 4]}\ncontainers:\n- {name: main, image: example/serve, command: [serve]}";
    let file = pod(&sandbox, "unready", spec);
    sandbox.fails(5, &format!("create -f {file}"));
    sandbox.until_pet_is("unready", "Init:Error");
    assert_eq!(sandbox.pod("unready")["status"]["phase"], "Failed");
    sandbox.journal_lacks("started unready");
    sandbox.ok("delete retries loops unready");
    sandbox.assert_nothing_left();
}

/// Starts a pod that is to run once, and one that is to run for good.
fn start_once_and_always(sandbox: &Sandbox) {
    let (once, always) = (
        serving(sandbox, "once", "Never"),
        serving(sandbox, "always", "Always"),
    );
    sandbox.ok(&format!("create -f {once} -f {always}"));
    sandbox.journal_says(&["started once"]);
    sandbox.until("always has started", || {
        sandbox.count("started always") == 1
    });
}

#[test]
fn a_pod_that_runs_once_is_not_run_again_when_its_runner_is_lost() {
    let sandbox = Sandbox::new();
    start_once_and_always(&sandbox);
    let lost = [
        sandbox.supervisor(),
        sandbox.runner("once"),
        sandbox.runner("always"),
    ];
    lost.into_iter().for_each(|pid| sandbox.kill(pid));
    let _ = sandbox.run("start");
    sandbox.until_pet_is("once", "Error");
    sandbox.until_pet_is("always", "Running");
    sandbox.until("always has started again", || {
        sandbox.count("started always") == 2
    });
    assert_eq!(sandbox.count("started once"), 1);
    assert_eq!(restarts(&sandbox, "always"), 1);
    let end = &sandbox.pod("once")["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(end["exitCode"], 137);
    sandbox.ok("events once").says("it is not run again");
    // Only a command that asks for it makes it run again.
    sandbox.ok("restart pod/once").says("pod/once restarted");
    sandbox.until("once has started again", || {
        sandbox.count("started once") == 2
    });
    sandbox.ok("delete once always");
    sandbox.assert_nothing_left();
}

#[test]
fn stop_ends_pods_and_start_runs_those_again_that_are_to_run_on() {
    let sandbox = Sandbox::new();
    start_once_and_always(&sandbox);
    let ip = address(&sandbox, "always");
    let uid = sandbox.pod("always")["metadata"]["uid"].clone();
    sandbox.ok("stop").prints("stopped 0 sets and 2 pods\n");
    sandbox.journal_says(&["stopped always"]);
    sandbox.assert_nothing_left();
    // What runs again is stopped, and no failure; what was to run once has ended.
    assert_eq!(sandbox.status_of("always").as_deref(), Some("Stopped"));
    assert_ne!(sandbox.status_of("once").as_deref(), Some("Stopped"));
    sandbox.ok("describe pod always").says("petset start");
    sandbox.ok("start --dry-run").says("start again always");
    sandbox.ok("start").prints("started 0 sets and 1 pod\n");
    sandbox.until("always has started again", || {
        sandbox.count("started always") == 2
    });
    assert_eq!(address(&sandbox, "always"), ip);
    assert_eq!(sandbox.pod("always")["metadata"]["uid"], uid);
    assert_eq!(sandbox.count("started once"), 1);
    sandbox.ok("delete once always");
    sandbox.assert_nothing_left();
}

#[test]
fn pods_outlive_the_end_of_the_machine() {
    let sandbox = Sandbox::new();
    let done = script(&sandbox, "done", "OnFailure", "echo done; journal ran done");
    let (once, always) = (
        serving(&sandbox, "once", "Never"),
        serving(&sandbox, "always", "Always"),
    );
    sandbox.ok(&format!("create -f {once} -f {always} -f {done}"));
    sandbox.until_pet_is("done", "Completed");
    sandbox.until("all have started", || {
        sandbox.count("started once") == 1 && sandbox.count("started always") == 1
    });
    let all = sandbox.processes();
    sandbox.kill(sandbox.supervisor());
    all.iter().for_each(Process::kill);
    sandbox.assert_nothing_left();
    for name in ["once", "always", "done"] {
        let path = sandbox.file(&format!("pets/default/{name}/runner.json"));
        let mut record: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["bootId"] = "another".into();
        fs::write(&path, record.to_string()).unwrap();
    }
    let _ = sandbox.run("start");
    sandbox.until("always has started again", || {
        sandbox.count("started always") == 2
    });
    sandbox.until_pet_is("once", "Error");
    sandbox.until_pet_is("done", "Completed");
    assert_eq!(
        (sandbox.count("ran done"), sandbox.count("started once")),
        (1, 1)
    );
    sandbox.ok("delete once always done");
    sandbox.assert_nothing_left();
}

#[test]
fn a_service_selects_a_pod_and_a_headless_one_names_it() {
    // N10, N11
    // CF-net-08
    let sandbox = Sandbox::new();
    let services = "apiVersion: v1\nkind: Service\nmetadata: {name: nest}\nspec: {clusterIP: None, \
                    selector: {app: bird}, ports: [{name: http, port: 8080}]}\n---\napiVersion: v1\n\
                    kind: Service\nmetadata: {name: front}\nspec: {selector: {app: bird}, ports: \
                    [{port: 80, targetPort: http}]}\n";
    let services = sandbox.manifest("services.yaml", services);
    let spec = "hostname: one\nsubdomain: nest\ncontainers:\n- {name: main, image: petset/hello, \
                ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {path: \
                /healthz, port: http}}}";
    let file = pod(&sandbox, "bird", spec);
    sandbox.ok(&format!("create -f {services} -f {file}"));
    let ip = address(&sandbox, "bird");
    sandbox.ok("dns query one.nest").prints(&format!("{ip}\n"));
    sandbox.ok("dns query nest").prints(&format!("{ip}\n"));
    let full = "one.nest.default.svc.cluster.local\n";
    sandbox.ok("discover --service nest").prints(full);
    sandbox
        .ok("get endpoints front")
        .says(&format!("{ip}:8080"));
    sandbox.ok("describe pod bird").says(full.trim_end());
    // A label that changes takes the pod out of its services, without a restart.
    let main = sandbox.main("bird");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("{app: bird}", "{app: fish}")).unwrap();
    sandbox
        .ok(&format!("apply -f {file}"))
        .prints("pod/bird configured\n");
    sandbox.until("the service has no endpoint", || {
        !sandbox.run("get endpoints front").out.contains(&ip)
    });
    assert_eq!(sandbox.main("bird"), main);
    sandbox.ok("delete pod/bird");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pod_takes_another_image_in_place_and_nothing_else() {
    // CF-cli-14
    let sandbox = Sandbox::new();
    let file = serving(&sandbox, "alone", "Always");
    sandbox
        .ok(&format!("apply -f {file}"))
        .prints("pod/alone created\n");
    sandbox
        .ok(&format!("apply -f {file}"))
        .prints("pod/alone unchanged\n");
    sandbox.ok(&format!("diff -f {file}")).prints("");
    sandbox
        .fails(4, &format!("create -f {file}"))
        .says("pods \"alone\" already exists");
    sandbox
        .ok(&format!("create -f {file} --if-not-exists"))
        .says("pod/alone unchanged");
    let uid = sandbox.pod("alone")["metadata"]["uid"].clone();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("example/serve", "example/serve:2")).unwrap();
    sandbox
        .fails(1, &format!("diff -f {file}"))
        .says("+    image: example/serve:2");
    sandbox
        .ok(&format!("apply -f {file} --dry-run"))
        .says("change alone");
    sandbox
        .ok(&format!("apply -f {file}"))
        .prints("pod/alone configured\n");
    sandbox.until("the container was restarted", || {
        restarts(&sandbox, "alone") == 1
    });
    let now = sandbox.pod("alone");
    assert_eq!(now["metadata"]["uid"], uid);
    assert_eq!(
        now["status"]["containerStatuses"][0]["image"],
        "example/serve:2"
    );
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[serve]", "[serve, it]")).unwrap();
    sandbox
        .fails(2, &format!("apply -f {file}"))
        .says("spec: Forbidden: pod updates may not change fields other than");
    sandbox.ok("get pods alone -o name").prints("pod/alone\n");
    sandbox
        .ok("get pods alone -o wide")
        .says(&address(&sandbox, "alone"));
    sandbox
        .ok("delete alone --dry-run")
        .says("stop alone")
        .says("forget alone");
    assert_eq!(sandbox.status_of("alone").as_deref(), Some("Running"));
    sandbox.ok("delete alone");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_of_a_set_keeps_its_name_and_comes_back() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let file = serving(&sandbox, "web-0", "Always");
    sandbox
        .fails(4, &format!("create -f {file}"))
        .says("pods \"web-0\" already exists")
        .says("pet of the set web");
    sandbox.fails(4, &format!("apply -f {file}"));
    sandbox.ok("delete pod/web-0");
    sandbox.until("web-0 came back", || sandbox.count("started web-0") == 2);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pod_in_the_way_of_a_set_holds_its_ordinal_until_it_is_gone() {
    let sandbox = Sandbox::new();
    let file = serving(&sandbox, "web-0", "Always");
    sandbox.ok(&format!("create -f {file}"));
    sandbox.until("the pod has started", || {
        sandbox.count("started web-0") == 1
    });
    let create = sandbox.start("create -f manifests/one.yaml");
    sandbox.until_says("describe web", "does not belong to this set");
    sandbox.ok("delete pod/web-0");
    assert_eq!(sandbox.finish("create", create).code, 0);
    let owners = &sandbox.pod("web-0")["metadata"]["ownerReferences"];
    assert_eq!(owners[0]["name"], "web");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn what_a_set_lets_go_is_a_pod_like_any_other() {
    // C37, E02
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    sandbox.ok("delete web --cascade=orphan");
    sandbox.until("it is wanted by itself", || {
        sandbox.file("wanted/default/pod/web-0.yaml").exists()
    });
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("stop").prints("stopped 0 sets and 1 pod\n");
    sandbox.ok("start").prints("started 0 sets and 1 pod\n");
    sandbox.until("it runs again", || sandbox.count("started web-0") == 2);
    // A set that selects it adopts it, and from then on it is the set's.
    sandbox.ok("create -f manifests/one.yaml");
    sandbox.until("it is not wanted by itself any more", || {
        !sandbox.file("wanted/default/pod/web-0.yaml").exists()
    });
    assert_eq!(sandbox.count("started web-0"), 2);
    sandbox.ok("delete web --cascade=orphan");
    sandbox.ok("delete pod/web-0");
    sandbox.ok("get pods").says("No resources found");
    assert_eq!(sandbox.count("started web-0"), 2);
    sandbox.assert_nothing_left();
}

#[test]
fn a_pod_that_is_deleted_by_force_ends_at_once() {
    let sandbox = Sandbox::new();
    let spec = "terminationGracePeriodSeconds: 3600\ncontainers:\n\
                - {name: main, image: example/serve, command: [ignores-term]}";
    let file = pod(&sandbox, "stubborn", spec);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.journal_says(&["started stubborn"]);
    sandbox.ok("delete stubborn --no-wait");
    sandbox.journal_says(&["ignored stubborn"]);
    // It is stopping already, and is given less time for it.
    sandbox.ok("delete stubborn --force");
    sandbox.assert_nothing_left();
    sandbox.ok(&format!("create -f {file}"));
    sandbox.until("it has started again", || {
        sandbox.count("started stubborn") == 2
    });
    sandbox.ok(&format!("delete -f {file} --force"));
    assert_eq!(sandbox.count("ignored stubborn"), 1);
    sandbox.assert_nothing_left();
}

/// Serves one page on the host's loopback, and returns the port.
fn serves(page: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = String::new();
            let mut lines = BufReader::new(&stream);
            while lines.read_line(&mut request).unwrap_or(0) > 2 {}
            let found = request.starts_with("GET /index.html ");
            let (status, page) = if found {
                ("200 OK", page)
            } else {
                ("404 No", "")
            };
            let length = page.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
            );
        }
    });
    port
}

/// Where the host finds port 80 of a pod, as `get pods -o wide` shows it: an ordinary user finds it
/// at another port.
fn door(sandbox: &Sandbox, pod: &str) -> SocketAddr {
    let row = sandbox
        .ok(&format!("get pods {pod} -o wide --no-headers"))
        .out;
    let ip: IpAddr = address(sandbox, pod).parse().unwrap();
    let mut words = row.split_whitespace();
    let elsewhere = words.find_map(|word| word.strip_prefix("80="));
    let own = rustix::process::getuid().is_root();
    assert_eq!(elsewhere.is_none(), own, "{row}");
    SocketAddr::new(ip, elsewhere.map_or(80, |port| port.parse().unwrap()))
}

/// What the host gets from a web server.
fn fetched(from: SocketAddr) -> String {
    let mut text = String::new();
    let Ok(mut stream) = TcpStream::connect(from) else {
        return text;
    };
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    let _ = stream.read_to_string(&mut text);
    text
}

/// Fetches the page of a pod from within another one.
fn page(sandbox: &Sandbox, from: &str, url: &str) -> String {
    let script = format!("wget -q -O - {url}");
    let words = ["exec", from, "--", "sh", "-c", &script];
    let output = sandbox.command_of(&words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_classic_init_container_fetches_the_page_that_nginx_serves() {
    if !is_installed("nginx", &["nginx"]) || !is_installed("busybox", &["busybox"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let wanted = "<h1>Read by an init container</h1>\n";
    let published = fs::read_to_string("testdata/manifests/classic-init-nginx.yaml").unwrap();
    let port = serves(wanted).to_string();
    let file = sandbox.manifest("nginx.yaml", &published.replace("{port}", &port));
    sandbox
        .ok(&format!("create -f {file} --isolation full"))
        .says("taken as initContainers");
    assert_eq!(sandbox.status_of("nginx").as_deref(), Some("Running"));
    let door = door(&sandbox, "nginx");
    sandbox.until("nginx serves the page to the host", || {
        fetched(door).ends_with(wanted)
    });
    assert!(!std::path::Path::new("/work-dir").exists());
    sandbox.ok("delete nginx");
    sandbox.assert_nothing_left();
}

#[test]
fn a_web_server_waits_in_its_init_container_until_its_database_answers() {
    let there = is_installed("redis", &["redis-server"])
        && is_installed("busybox", &["busybox"])
        && is_installed("dig", &["nslookup"]);
    if !there {
        return;
    }
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/classic-wait-for-db.yaml --isolation full");
    sandbox.until_says("logs myapp -c init-mydb", "waiting for mydb");
    sandbox.until_pet_is("myapp", "Init:0/2");
    sandbox.ok("create -f manifests/classic-db.yaml --isolation full");
    assert_eq!(sandbox.finish("create", create).code, 0);
    sandbox.until_pet_is("myapp", "Running");
    let ip = sandbox.ok("exec myapp -- sh -c 'echo $POD_IP'").out;
    let url = format!("http://{}/", ip.trim());
    assert_eq!(page(&sandbox, "mydb", &url), "up\n");
    sandbox.ok("delete myapp mydb");
    sandbox.assert_nothing_left();
}

#[test]
fn a_followed_log_that_was_rotated_is_printed_once_when_its_pod_is_deleted() {
    let sandbox = Sandbox::new();
    // 25 MB: more than two files of a log.
    let words = "yes 'a line of the log, which is rather long' | head -n 600000; echo TOTAL; serve";
    sandbox.ok(&format!(
        "create -f {}",
        script(&sandbox, "chatty", "Never", words)
    ));
    let out = sandbox.file("followed");
    let mut command = sandbox.command("logs chatty -f");
    command.stdout(fs::File::create(&out).unwrap());
    let mut follow = command.spawn().unwrap();
    let printed = || fs::read_to_string(&out).unwrap_or_default();
    sandbox.until("all is printed", || printed().ends_with("TOTAL\n"));
    sandbox.ok("delete pod/chatty");
    assert!(follow.wait().unwrap().success());
    assert_eq!(printed().lines().count(), 600_001);
    assert!(printed().ends_with("long\nTOTAL\n"));
}

#[test]
fn following_a_pod_ends_when_it_has_completed() {
    let sandbox = Sandbox::new();
    let file = script(&sandbox, "brief", "Never", "echo one; sleep 1; echo two");
    sandbox.ok(&format!("create --no-wait -f {file}"));
    sandbox.until_says("logs brief", "one");
    sandbox.ok("logs brief -f").prints("one\ntwo\n");
    sandbox.ok("logs brief -f").prints("one\ntwo\n");
}

#[test]
fn what_a_container_writes_as_its_last_words_is_the_message_of_its_end() {
    let sandbox = Sandbox::new();
    let words = "echo beside the point; echo no licence file > $PETSET_TERMINATION_MESSAGE_PATH; \
                 exit 1";
    let file = script(&sandbox, "t-0", "Never", words);
    let failed = sandbox.fails(5, &format!("create -f {file}"));
    failed.says("ended with exit code 1: no licence file");
    sandbox.ok("describe pod/t-0").says("no licence file");
    let end = sandbox.pod("t-0")["status"]["containerStatuses"][0]["state"].take();
    assert_eq!(end["terminated"]["message"], "no licence file\n");
    // The file of the next run is empty again, and 4096 bytes are kept of a long one.
    let words = "f=$PETSET_TERMINATION_MESSAGE_PATH; test -s $f && exit 7; \
                 head -c 9000 /dev/zero | tr '\\0' x > $f; exit 3";
    let file = script(&sandbox, "again", "OnFailure", words);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.until("it ran twice", || restarts(&sandbox, "again") >= 1);
    let ended = || {
        let status = sandbox.pod("again")["status"]["containerStatuses"][0].take();
        let states = ["state", "lastState"].map(|state| status[state]["terminated"].clone());
        states.into_iter().find(|end| end["exitCode"] == 3)
    };
    sandbox.until("its end is known", || ended().is_some());
    assert_eq!(ended().unwrap()["message"], "x".repeat(4096));
}
