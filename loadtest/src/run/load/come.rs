//! How clients come, leave and come back.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::agenda::Task;
use super::super::line::Stage;
use super::super::peer::Welcome;
use super::{Load, Role, SLOW_BUFFER};

/// How long a connection may take to be live.
const LIVE_WITHIN: Duration = Duration::from_secs(15);

impl Load {
    /// Does what is due.
    pub(super) fn perform_due(&mut self) -> Result<()> {
        while self.under_way < self.at_once {
            let Some(client) = self.queue.pop_front() else { break };
            self.open(client)?;
        }
        let now = Instant::now();
        while let Some((when, task)) = self.agenda.due(now) {
            match task {
                Task::Open(client) if self.under_way < self.at_once => self.open(client)?,
                Task::Open(client) => self.queue.push_back(client),
                Task::GiveUp(client, tries) => {
                    let line = &self.clients[client].line;
                    let waits = !matches!(line.stage, Stage::Away | Stage::Live);
                    if waits && line.tries == tries {
                        self.note_end("given up before it was live");
                        self.cut(client, now);
                    }
                }
                Task::Leave(client) => {
                    if self.clients[client].line.stage == Stage::Live {
                        self.cut(client, now);
                    }
                }
                Task::Mute(client) => self.mute(client)?,
                Task::Wake(client) => self.wake(client, now),
                Task::Repeat(client, id) => {
                    self.repeats += 1;
                    self.send(client, id)?;
                }
                Task::Churn => self.churn(when, now),
            }
        }
        Ok(())
    }

    fn open(&mut self, client: usize) -> Result<()> {
        let first_room = self.press.first_room;
        let entry = &mut self.clients[client];
        if entry.line.stage != Stage::Away {
            return Ok(());
        }
        let to = self.share.addrs[entry.line.node];
        let (request, slow) = match &mut entry.role {
            Role::Member(member) => {
                let room = first_room + member.room;
                (self.press.peer.request(to, room, member.bookmark()), member.slow)
            }
            Role::Publisher(publisher) => {
                let room = first_room + publisher.first_stream() % self.press.rooms;
                (self.press.peer.request_of_publisher(to, room), false)
            }
        };
        self.engine.set_receive_buffer(slow.then_some(SLOW_BUFFER));
        let user = format!("load-{}-{client}", self.share.number);
        let opened = self.engine.open_as(to, &request, &user);
        self.engine.set_receive_buffer(None);
        let now = Instant::now();
        let link = match opened {
            Ok(link) => link,
            Err(error) => {
                self.note_end(&format!("{error:#}"));
                self.retry(client, now);
                return Ok(());
            }
        };
        entry.line.opening(link);
        self.under_way += 1;
        self.agenda.at(now + LIVE_WITHIN, Task::GiveUp(client, entry.line.tries));
        if self.owners.len() <= link {
            self.owners.resize(link + 1, None);
        }
        self.owners[link] = Some(client);
        Ok(())
    }

    /// A client's upgrade was answered.
    pub(super) fn upgraded(&mut self, client: usize) -> Result<()> {
        match self.press.peer.welcome() {
            Welcome::Greeting => self.clients[client].line.advance(Stage::Greeting),
            Welcome::Silent => self.greeted(client)?,
            Welcome::Joined => self.live(client, Instant::now())?,
        }
        Ok(())
    }

    /// A client may send.
    pub(super) fn greeted(&mut self, client: usize) -> Result<()> {
        let entry = &mut self.clients[client];
        let Role::Member(member) = &mut entry.role else {
            return self.live(client, Instant::now());
        };
        let room = self.press.first_room + member.room;
        let join = self.press.peer.join(room, member.bookmark())?;
        entry.line.advance(Stage::Joining);
        self.write(client, &join);
        Ok(())
    }

    /// A client has all that it needs.
    pub(super) fn live(&mut self, client: usize, now: Instant) -> Result<()> {
        let entry = &mut self.clients[client];
        if matches!(entry.line.stage, Stage::Live | Stage::Away) {
            return Ok(());
        }
        entry.line.advance(Stage::Live);
        self.under_way -= 1;
        self.here += 1;
        match &mut entry.role {
            Role::Member(member) => {
                self.live += 1;
                let at = self.clock.nanos(now);
                member.joined(at);
                if let Some(wanted) = member.wanted.take()
                    && (self.share.scenario.storm.is_none() || self.count_from != u64::MAX)
                {
                    self.connects.record(at.saturating_sub(wanted));
                }
            }
            Role::Publisher(publisher) => {
                for id in publisher.waiting() {
                    self.repeats += 1;
                    self.send(client, id)?;
                }
            }
        }
        Ok(())
    }

    /// A client's connection is gone; it will try again.
    pub(super) fn lost(&mut self, client: usize, now: Instant) {
        let entry = &mut self.clients[client];
        match entry.line.stage {
            Stage::Away => return,
            Stage::Live => {
                self.here -= 1;
                if let Role::Member(member) = &mut entry.role {
                    self.live -= 1;
                    self.fewest = self.fewest.min(self.live);
                    member.lost(entry.line.node, self.clock.nanos(now));
                }
            }
            _ => self.under_way -= 1,
        }
        self.retry(client, now);
    }

    fn retry(&mut self, client: usize, now: Instant) {
        let pause = self.clients[client].line.lost(self.share.addrs.len(), &mut self.random);
        self.agenda.at(now + pause, Task::Open(client));
    }

    /// Ends a client's connection from this side.
    fn cut(&mut self, client: usize, now: Instant) {
        if let Some(link) = self.clients[client].line.link {
            self.engine.reset(link);
        }
        self.lost(client, now);
    }

    fn mute(&mut self, client: usize) -> Result<()> {
        let line = &mut self.clients[client].line;
        if let (Stage::Live, Some(link)) = (line.stage, line.link) {
            self.engine.mute(link)?;
            line.muted = true;
        }
        Ok(())
    }

    fn wake(&mut self, client: usize, now: Instant) {
        let line = &mut self.clients[client].line;
        if let (true, Some(link)) = (line.muted, line.link) {
            line.muted = false;
            if self.engine.wake(link).is_err() {
                self.cut(client, now);
            }
        }
    }

    fn churn(&mut self, when: Instant, now: Instant) {
        if self.clock.nanos(now) >= self.count_until {
            return;
        }
        let client = self.random.index(self.members);
        let line = &self.clients[client].line;
        if line.stage == Stage::Live && !line.muted {
            self.cut(client, now);
        }
        let apart = self.share.of as f64 / self.share.scenario.churn;
        self.agenda.at(when + Duration::from_secs_f64(apart), Task::Churn);
    }
}
