-- True for tasks that start after every older task that has the key with true, too.
alter table class_key add column strict boolean not null default false;

-- Of each of these keys the first two tasks that wait for it with a strict order, as [id, class_id, priority, ready]: of each
-- class the two oldest are read. In a class of such tasks all have one priority. Volatile: it reads with a snapshot of its
-- own, so that a claim which has waited for the locks of the keys sees the tasks that were put back meanwhile. Without
-- statistics of the tables other plans would read whole classes.
create function order_fronts(wanted text[]) returns json[]
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  return (
    select array_agg(f.front order by u.place)
      from unnest(wanted) with ordinality as u(key, place)
     cross join lateral (
       select json_agg(json_build_array(t.id, t.class_id, t.priority, t.wake_time is null) order by t.id) as front
         from (
           select t.id, t.class_id, t.priority, t.wake_time
             from muster.class_key ck cross join lateral (
               select id, class_id, priority, wake_time from muster.task
                where class_id = ck.class_id and state = 0
                order by priority desc, id limit 2) t
            where ck.key = u.key and ck.strict
            order by t.id limit 2) t) f);
end $$;
