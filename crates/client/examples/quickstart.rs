//! The program of `docs/quickstart.md`: a test holds the two to each other.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it receives")]

use roomcast_client::{Client, Event, JoinOptions, Options};
use roomcast_protocol::{Data, Publish, PublishKey, RoomName};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or("ws://127.0.0.1:8080/ws".into());
    let client = Client::connect(Options::new([url]))?;
    let room = RoomName::parse("chat")?;
    let options = JoinOptions { history: Some(20), ..JoinOptions::default() };
    client.join(room.clone(), options).await?;
    let data = Data::json(r#"{"text":"hi from Rust"}"#)?;
    // Run again within two minutes, this is stored once: an application makes a key for each.
    let key = Some(PublishKey::parse("hello-1")?);
    let publish = Publish { key, ..Publish::new(room, data) };
    // Resolves to an ack or to the reason why there is none; it may also be left alone.
    let _ack = client.start_publish(publish).await?;
    while let Some(event) = client.next().await {
        match event {
            Event::Message { message, .. } => {
                let mut json = Vec::new();
                message.data.write_json(&mut json);
                println!("{} {}", message.seq, String::from_utf8_lossy(&json));
            }
            Event::Gap { from, to, .. } => println!("messages {from} to {to} are missing"),
            Event::Reset { lost, .. } => println!("the room was started again; lost: {lost}"),
            other => eprintln!("{other:?}"),
        }
    }
    Ok(())
}
