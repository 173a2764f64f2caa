//! The positions of many rooms: pipelines of calls open the rooms of a crowd.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{RedisResult, Value};
use roomcast_metrics::BusCommand;
use roomcast_protocol::RoomName;
use tokio::time::{Instant, timeout};

use super::{READ_TIMEOUT, ReadSpan, RoomReader, RoomStanding, read_answer};
use crate::api::ReadError;
use crate::server_map::shard::Shard;

impl RoomReader {
    /// The positions of these rooms, by one pipeline of single-room calls to each primary. What a
    /// pipeline did not bring is read by a call of its own.
    pub(crate) async fn standings(
        &self,
        rooms: &[RoomName],
    ) -> Vec<Result<RoomStanding, ReadError>> {
        let mut found: Vec<Option<RoomStanding>> = rooms.iter().map(|_| None).collect();
        // One room needs no pipeline.
        if rooms.len() > 1 {
            for (shard, indices) in self.by_primary(rooms) {
                self.read_standings(&shard, rooms, &indices, &mut found).await;
            }
        }
        let complete = found.into_iter().zip(rooms).map(async |(found, room)| match found {
            Some(standing) => Ok(standing),
            None => self.standing(room).await,
        });
        join_all(complete).await
    }

    /// The indices of rooms on each primary.
    fn by_primary(&self, rooms: &[RoomName]) -> Vec<(Arc<Shard>, Vec<usize>)> {
        let mut primaries: Vec<(Arc<Shard>, Vec<usize>)> = Vec::new();
        for (index, room) in rooms.iter().enumerate() {
            let Some(shard) = self.shards.of(room) else { continue };
            match primaries.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &shard)) {
                Some((_, indices)) => indices.push(index),
                None => primaries.push((shard, vec![index])),
            }
        }
        primaries
    }

    async fn read_standings(
        &self,
        shard: &Shard,
        rooms: &[RoomName],
        indices: &[usize],
        found: &mut [Option<RoomStanding>],
    ) {
        let Some(up) = shard.link.up() else { return };
        let mut calls = redis::pipe();
        for &index in indices {
            calls.add_command(self.command(&rooms[index], &ReadSpan::STANDING, &up));
        }
        let started = Instant::now();
        let mut connection = up.any();
        let answers = calls.ignore_errors().query_async(&mut connection);
        let answers: Result<RedisResult<Vec<RedisResult<Value>>>, _> =
            timeout(READ_TIMEOUT, answers).await;
        let Ok(Ok(answers)) = answers else { return };
        for (&index, answer) in indices.iter().zip(answers) {
            let Ok(Value::Array(values)) = answer else { continue };
            let Some(standing) = read_answer(values) else { continue };
            self.metrics.commands[BusCommand::Meta].inc();
            self.metrics.command[BusCommand::Meta].observe(started.elapsed().as_secs_f64());
            found[index] = Some(standing);
        }
    }
}
